"""Messages out of order, doubled, and told once more when all is long over: what a queue may do, done on purpose."""

from collections import deque
from random import Random
from typing import Any, Final

from rayline_local.chaos.plan import Disorder

_RECEIVE: Final = 10
_REMEMBERED: Final = 2_000


class DisorderlyQueue:
    """Takes messages out as another consumer would, and puts them back: later, twice, or again after a while."""

    def __init__(self, sqs: Any, queue_url: str, seed: int) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._chance = Random(f"{seed}/disorder")  # noqa: S311 - to be repeatable, not secret
        self._bodies: deque[str] = deque(maxlen=_REMEMBERED)
        self.moved = self.copies = 0

    def stir(self, disorder: Disorder) -> None:
        """Move so many messages behind others, double some, and repeat some of those that were seen before."""
        remembered = [self._chance.choice(self._bodies) for _ in range(disorder.remembered) if self._bodies]
        left = disorder.moved
        while left > 0:
            messages = self._sqs.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=min(_RECEIVE, left),
                VisibilityTimeout=30,
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not messages:
                break
            self._chance.shuffle(messages)
            for message in messages:
                self._move(message, disorder)
            left -= len(messages)
        for body in remembered:
            self._send(body, {}, disorder.latest_seconds)
            self.copies += 1

    def _move(self, message: Any, disorder: Disorder) -> None:
        # The copies are there before the original goes, so that a harness that dies here loses nothing.
        attributes = message.get("MessageAttributes", {})
        doubled = self._chance.random() < disorder.doubled
        for _ in range(2 if doubled else 1):
            self._send(message["Body"], attributes, disorder.latest_seconds)
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
        self._bodies.append(message["Body"])
        self.moved += 1
        self.copies += doubled

    def _send(self, body: str, attributes: Any, latest_seconds: int) -> None:
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=body,
            MessageAttributes=attributes,
            DelaySeconds=self._chance.randint(0, latest_seconds),
        )
