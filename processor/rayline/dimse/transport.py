"""pynetdicom's server with bounds: what a peer sends, or fails to send, takes no more memory, disk or time than it may.

pynetdicom reads a PDU of any length into memory for as long as the peer likes, queues any number of messages, and
shakes hands for TLS while nobody else can connect.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from socketserver import BaseServer
from typing import Any, Final

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from rayline.dimse.spool import Spool, Unreadable, part10_head

# PS3.8 §9.3.2: an A-ASSOCIATE-RQ with 128 contexts and all their transfer syntaxes stays below this.
MOST_ASSOCIATE_BYTES: Final = 262_144
MOST_COMMAND_BYTES: Final = 16_384
# Without asynchronous operations, which are not negotiated, a peer waits for each answer (PS3.7 §D.3.3.3).
MOST_WAITING: Final = 4
_CONNECTIONS_AN_ASSOCIATION: Final = 3
_ENDED: Final = "Sta13"  # the state in which the connection's end is awaited
_INVALID_PDU: Final = "Evt19"  # the state machine's event that aborts the association (PS3.8 §9.2)


class BoundedSocket(AssociationSocket):  # type: ignore[misc]
    """Reads PDUs of bounded length, each within a bounded time."""

    most_bytes: int
    pdu_seconds: float

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or fewer where the peer closes the connection.

        Raises:
            OSError: they are too many, or did not come in time; the connection is closed.
        """
        connection = self.socket
        if connection is None:
            return bytearray()
        if nr_bytes > self.most_bytes:
            self._shutdown_socket()
            raise OSError("the PDU is longer than allowed")
        if self.assoc.dul.state_machine.current_state == _ENDED:
            # What a peer says after the end would be read as PDUs once more, and waited for.
            self._shutdown_socket()
            raise OSError("the association has ended")
        received = bytearray(nr_bytes)
        view = memoryview(received)
        deadline = time.monotonic() + self.pdu_seconds
        done = 0
        try:
            while done < nr_bytes:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                part = connection.recv_into(view[done:])
                if not part:
                    break
                done += part
                if time.monotonic() > deadline:
                    raise TimeoutError("the PDU did not arrive in time")
            connection.settimeout(self.pdu_seconds)  # of what is sent next
        except OSError:
            self._shutdown_socket()
            raise
        view.release()
        del received[done:]
        return received

    def _shutdown_socket(self) -> None:
        """Close the connection, also where the peer has broken it off, which pynetdicom leaves open."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class BoundedDimse(DIMSEServiceProvider):  # type: ignore[misc]
    """Puts data sets into spools, and ends an association whose peer sends more than it may."""

    def __init__(self, association: Association, most_instance_bytes: int) -> None:
        super().__init__(association)
        self.message: DIMSEMessage | None = None
        self._most_instance_bytes = most_instance_bytes
        self._spool: Spool | None = None
        self._command_bytes = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take in a fragment of a message."""
        if self.message is None:
            if self.msg_queue.qsize() >= MOST_WAITING:
                self._end()
                return
            message = DIMSEMessage()
            self._spool = Spool(lambda: self._head(message), self._most_instance_bytes)
            message._data_set_file = self._spool
            self.message, self._command_bytes = message, 0
        for _, fragment in primitive.presentation_data_value_list:
            # PS3.8 §E.2: the lowest bit tells a command from a data set.
            self._command_bytes += len(fragment) if not fragment or fragment[0] & 1 else 0
        if self._command_bytes > MOST_COMMAND_BYTES:
            self._end()
            return
        super().receive_primitive(primitive)

    def _head(self, message: DIMSEMessage) -> bytes:
        command = message.command_set
        try:
            (context,) = (
                each for each in self.assoc.accepted_contexts if each.context_id == message.context_id
            )
            return part10_head(
                str(command.AffectedSOPClassUID),
                str(command.AffectedSOPInstanceUID),
                str(context.transfer_syntax[0]),
                self.assoc.requestor.ae_title,
            )
        except (AttributeError, ValueError, TypeError):
            raise Unreadable from None

    def _end(self) -> None:
        self.discard()
        self.message = None
        self.dul.event_queue.put(_INVALID_PDU)

    def discard(self) -> None:
        """Give up what is arriving; what arrived whole is with whoever serves it."""
        if self.message is not None and self._spool is not None:
            self._spool.close()

    def connection_closed(self) -> None:
        """End what would wait for more of a peer that has gone."""
        self.discard()
        if self.assoc.requestor.primitive is None:
            # Else the association's thread waits for a request until its time is over, and takes the place of others.
            self.dul.to_user_queue.put(None)


class Bounds:
    """How much of everything one peer may have.

    Attributes:
        networks: where peers connect from.
        handshake_seconds: how long the handshake of TLS may take.
    """

    def __init__(
        self,
        *,
        networks: Sequence[str],
        most_associations: int,
        most_pdu_bytes: int,
        most_instance_bytes: int,
        pdu_seconds: float,
        handshake_seconds: float,
    ) -> None:
        self.networks = [ipaddress.ip_network(each) for each in networks]
        self.most_connections = most_associations * _CONNECTIONS_AN_ASSOCIATION
        # 6 bytes of header and 6 of a presentation data value may come on top (PS3.8 §9.3.5).
        self.most_bytes = max(MOST_ASSOCIATE_BYTES, most_pdu_bytes + 12)
        self.most_instance_bytes = most_instance_bytes
        self.pdu_seconds = pdu_seconds
        self.handshake_seconds = handshake_seconds

    def knows(self, address: str) -> bool:
        """Whether a peer may connect from there."""
        peer = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self.networks)


class GatewayServer(ThreadedAssociationServer):  # type: ignore[misc]
    """Accepts connections and gives each its bounds.

    Args:
        bounds: what a peer may have.
        turned_away: hears why a connection was closed before it asked for anything.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        ae: AE,
        address: tuple[str, int],
        *,
        contexts: Sequence[Any],
        tls: ssl.SSLContext | None,
        bounds: Bounds,
        turned_away: Callable[[str], None],
        evt_handlers: Sequence[Any],
    ) -> None:
        self.bounds = bounds
        self._turned_away = turned_away
        self._tls = tls
        self._counting = threading.Lock()
        self._open: list[socket.socket] = []
        super().__init__(
            ae,
            address,
            ae.ae_title,
            list(contexts),
            None,  # TLS begins in the connection's own thread, where nobody else waits for it
            evt_handlers=list(evt_handlers),
            request_handler=_BoundedRequest,
        )

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection is taken at all."""
        if not self.bounds.knows(client_address[0]):
            self._turned_away("PEER_NETWORK")
            return False
        with self._counting:
            self._open = [each for each in self._open if each.fileno() >= 0]
            if len(self._open) >= self.bounds.most_connections:
                self._turned_away("TOO_MANY_CONNECTIONS")
                return False
            self._open.append(request)
        # Nagle's algorithm and the peer's delayed ACK cost 40 ms an instance.
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request.settimeout(self.bounds.handshake_seconds)
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin TLS where it is wanted, then the association; runs in the connection's thread."""
        if self._tls is not None:
            try:
                request = self._tls.wrap_socket(request, server_side=True)
            except OSError:
                self._turned_away("TLS")
                self.shutdown_request(request)
                return
            with self._counting:
                self._open.append(request)  # the other one was left without its connection
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of the peer on standard error, where :mod:`socketserver` would print a traceback."""
        self._turned_away("FAILED")

    def stop_accepting(self) -> None:
        """Take no further connection; associations under way go on."""
        BaseServer.shutdown(self)
        self.server_close()


class _BoundedRequest(RequestHandler):  # type: ignore[misc]
    server: GatewayServer

    def _create_association(self) -> Association:
        association = super()._create_association()
        bounds = self.server.bounds
        # Making another would announce the connection to the state machine twice.
        bounded = association.dul.socket
        bounded.__class__ = BoundedSocket
        bounded.most_bytes, bounded.pdu_seconds = bounds.most_bytes, bounds.pdu_seconds
        association.dimse = BoundedDimse(association, bounds.most_instance_bytes)
        return association
