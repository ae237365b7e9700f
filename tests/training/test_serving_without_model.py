"""An endpoint before its first model: healthy, so that it can be made, and honest about having no answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from rayline.errors import ConfigurationError
from rayline_training.model import holds_model, load_model
from rayline_training.serve import make_server


@pytest.fixture
def connection() -> Iterator[HTTPConnection]:
    with make_server(None, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with closing(HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)) as connection:
            yield connection
        server.shutdown()
        thread.join()


def test_it_is_healthy(connection: HTTPConnection) -> None:
    connection.request("GET", "/ping")
    assert connection.getresponse().status == 200


def test_it_says_that_there_is_no_model(connection: HTTPConnection) -> None:
    connection.request("POST", "/invocations", b"\x00" * 200, {"Content-Type": "application/dicom"})
    answer = connection.getresponse()
    assert answer.status == 503
    assert json.loads(answer.read()) == {"error": "no model is served yet"}


def test_an_empty_folder_holds_no_model_and_a_damaged_one_is_no_empty_one(tmp_path: Path) -> None:
    assert not holds_model(tmp_path / "absent")
    assert not holds_model(tmp_path)
    (tmp_path / "model_card.json").write_text("{}")
    assert holds_model(tmp_path)
    with pytest.raises(ConfigurationError, match="no model in"):
        load_model(tmp_path)
