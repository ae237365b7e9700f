"""A proxy before DynamoDB that counts item writes on the wire, whatever the sender thinks that it wrote."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_SINGLE = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
_IN_TRANSACTION = frozenset({"Put", "Update", "Delete"})


@dataclass
class Writes:
    """Item writes so far.

    Attributes:
        by_table: writes that were tried, whether or not their condition held; both cost.
        refused: those of them in requests that DynamoDB refused.
        condition_checks: items that a transaction only looked at.
    """

    by_table: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    condition_checks: int = 0

    @property
    def total(self) -> int:
        """All writes."""
        return self.by_table.total()


def written_tables(operation: str, request: Mapping[str, Any]) -> Iterator[str]:
    """The table of each item that a request writes; ``ConditionCheck`` for each that it only looks at."""
    if operation in _SINGLE:
        yield request["TableName"]
    elif operation == "TransactWriteItems":
        for item in request["TransactItems"]:
            for action, what in item.items():
                yield what["TableName"] if action in _IN_TRANSACTION else "ConditionCheck"
    elif operation == "BatchWriteItem":
        for table, items in request["RequestItems"].items():
            yield from [table] * len(items)
    elif operation in ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"):
        raise NotImplementedError("count PartiQL's writes here before using it")


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is a process that ends; it sends its request again if it needs the answer."""


class WriteCounter:
    """Forwards requests, and counts."""

    def __init__(self, endpoint_url: str) -> None:
        self._target = urlsplit(endpoint_url).netloc
        self._lock = threading.Lock()
        self.writes = Writes()
        self.endpoint_url = ""

    def count(self, operation: str, body: bytes, status: int) -> None:
        """Take one answered request into account."""
        tables = list(written_tables(operation, json.loads(body or b"{}")))
        with self._lock:
            checks = tables.count("ConditionCheck")
            self.writes.condition_checks += checks
            self.writes.by_table.update(table for table in tables if table != "ConditionCheck")
            if status != 200:
                self.writes.refused += len(tables) - checks

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Listen on a free loopback port."""
        counter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                self._upstream = http.client.HTTPConnection(counter._target, timeout=60)

            def finish(self) -> None:
                self._upstream.close()
                super().finish()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                self._upstream.request("POST", self.path, body, dict(self.headers))
                response = self._upstream.getresponse()
                answer = response.read()
                counter.count(self.headers.get("x-amz-target", "").rpartition(".")[2], body, response.status)
                self.send_response_only(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        server = _QuietServer(("127.0.0.1", 0), Handler)
        self.endpoint_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
