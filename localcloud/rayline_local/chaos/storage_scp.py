"""A storage SCP (PS3.4 §B.3) for machines without dcmtk: each C-STORE becomes a file of its own."""

import argparse
import time
import uuid
from pathlib import Path
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt

_ALL_SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
)


def serve(port: int, folder: Path, mode: str) -> None:
    """Listen on loopback until killed."""

    def store(event: Any) -> int:
        if mode == "breaks off":
            event.assoc.abort()
            return 0xA700
        path = folder / f"{uuid.uuid4().hex}.dcm"
        # Written under another name first, so that a file that is there is whole.
        partial = path.with_suffix(".part")
        partial.write_bytes(event.encoded_dataset())
        partial.rename(path)
        if mode == "stalls":
            time.sleep(1)
        return 0x0000

    def requested(event: Any) -> None:
        if mode == "refuses":
            event.assoc.acse.send_reject(0x01, 0x01, 0x01)
            event.assoc.kill()

    ae = AE(ae_title="CHAOS")
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax or "", _ALL_SYNTAXES)
    ae.start_server(
        ("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store), (evt.EVT_REQUESTED, requested)]
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--mode", choices=("up", "refuses", "breaks off", "stalls"), required=True)
    given = parser.parse_args()
    serve(given.port, given.folder, given.mode)


if __name__ == "__main__":
    main()
