"""DynamoDB's condition, key-condition and update expressions: a small parser that refuses what it does not know.

Grammar: Amazon DynamoDB developer guide, "Condition and filter expressions" and "Update expressions".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from ministack.services._dynamodb_keywords import AWS_KEYWORDS

Attribute = dict[str, Any]
Path = tuple["str | int", ...]

_TOKEN = re.compile(r"\s*(?:(<>|<=|>=|[=<>(),.+\-\[\]])|([#:]?[A-Za-z0-9_]+))")
_FUNCTIONS = {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"}


class InvalidExpression(Exception):
    """The service answers ValidationException."""


@dataclass(frozen=True)
class Node:
    """An operator and its operands, as written: names and values are resolved when it is evaluated."""

    kind: str
    parts: tuple[Any, ...]


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise InvalidExpression(f"syntax error near {text[at : at + 10]!r}")
            self.tokens.append(match.group(1) or match.group(2))
            at = match.end()
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token.upper() != expected):
            raise InvalidExpression(f"syntax error near {token!r}, expected {expected or 'more'}")
        self.at += 1
        return token

    def is_word(self, word: str) -> bool:
        return self.peek().upper() == word

    def optional(self, word: str) -> bool:
        if self.is_word(word):
            self.at += 1
            return True
        return False

    def path(self) -> Node:
        parts: list[str | int] = [self._name()]
        while self.peek() in (".", "["):
            if self.take() == ".":
                parts.append(self._name())
            else:
                parts.append(int(self.take()))
                self.take("]")
        return Node("path", tuple(parts))

    def _name(self) -> str:
        name = self.take()
        if name.startswith(":") or not re.fullmatch(r"#[A-Za-z0-9_]+|[A-Za-z_][A-Za-z0-9_]*", name):
            raise InvalidExpression(f"syntax error near {name!r}, expected a name")
        if name.upper() in AWS_KEYWORDS:
            raise InvalidExpression(f"Attribute name is a reserved keyword; reserved keyword: {name}")
        return name

    def operand(self) -> Node:
        if self.peek().startswith(":"):
            return Node("value", (self.take(),))
        if self.peek(1) == "(":
            return self.function()
        return self.path()

    def function(self) -> Node:
        name = self.take()
        self.take("(")
        operands = [self.operand()]
        while self.optional(","):
            operands.append(self.operand())
        self.take(")")
        return Node(name, tuple(operands))

    # -- conditions ----------------------------------------------------------------------------------------------

    def disjunction(self) -> Node:
        parts = [self.conjunction()]
        while self.optional("OR"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Node("or", tuple(parts))

    def conjunction(self) -> Node:
        parts = [self.negation()]
        while self.optional("AND"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else Node("and", tuple(parts))

    def negation(self) -> Node:
        if self.optional("NOT"):
            return Node("not", (self.negation(),))
        if self.peek() == "(":
            self.take()
            inner = self.disjunction()
            self.take(")")
            return inner
        return self.comparison()

    def comparison(self) -> Node:
        left = self.operand()
        if left.kind in _FUNCTIONS - {"size"}:
            return left
        if left.kind not in ("path", "value", "size"):
            raise InvalidExpression(f"invalid function name: {left.kind}")
        if self.optional("BETWEEN"):
            low = self.operand()
            self.take("AND")
            return Node("between", (left, low, self.operand()))
        if self.optional("IN"):
            self.take("(")
            choices = [self.operand()]
            while self.optional(","):
                choices.append(self.operand())
            self.take(")")
            return Node("in", (left, *choices))
        operator = self.take()
        if operator not in ("=", "<>", "<", "<=", ">", ">="):
            raise InvalidExpression(f"syntax error near {operator!r}")
        return Node(operator, (left, self.operand()))

    # -- updates -------------------------------------------------------------------------------------------------

    def update(self) -> Node:
        clauses: dict[str, tuple[Any, ...]] = {}
        while self.peek():
            clause = self.take().upper()
            if clause not in ("SET", "REMOVE", "ADD", "DELETE") or clause in clauses:
                raise InvalidExpression(f"syntax error near {clause!r}")
            actions = [self._action(clause)]
            while self.optional(","):
                actions.append(self._action(clause))
            clauses[clause] = tuple(actions)
        return Node("update", tuple(clauses.items()))

    def _action(self, clause: str) -> tuple[Any, ...]:
        path = self.path()
        if clause == "REMOVE":
            return (path,)
        if clause != "SET":
            return path, Node("value", (self.take(),))
        self.take("=")
        operand = self.operand()
        if self.peek() in ("+", "-"):
            operand = Node(self.take(), (operand, self.operand()))
        return path, operand

    def whole(self, node: Node) -> Node:
        if self.peek():
            raise InvalidExpression(f"syntax error near {self.peek()!r}")
        return node


@lru_cache(maxsize=2_000)
def _parsed_condition(text: str) -> Node:
    reader = _Reader(text)
    return reader.whole(reader.disjunction())


@lru_cache(maxsize=2_000)
def _parsed_update(text: str) -> Node:
    reader = _Reader(text)
    return reader.whole(reader.update())


class Expressions:
    """The names and values of one request, and what its expressions mean with them."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._names: Mapping[str, str] = request.get("ExpressionAttributeNames", {})
        self._values: Mapping[str, Attribute] = request.get("ExpressionAttributeValues", {})
        self._used: set[str] = set()
        nodes: list[Node] = []
        self.condition = self._prepare(request.get("ConditionExpression"), _parsed_condition, nodes)
        self.key_condition = self._prepare(request.get("KeyConditionExpression"), _parsed_condition, nodes)
        self.filter = self._prepare(request.get("FilterExpression"), _parsed_condition, nodes)
        self.update = self._prepare(request.get("UpdateExpression"), _parsed_update, nodes)
        for node in nodes:
            self._look_at(node)
        unused = {*self._names, *self._values} - self._used
        if unused:
            raise InvalidExpression(f"names or values unused in expressions: {sorted(unused)}")
        if self.update is not None:
            self._check_overlaps(self.update)

    @staticmethod
    def _prepare(text: str | None, parse: Callable[[str], Node], nodes: list[Node]) -> Node | None:
        if text is None:
            return None
        if not text.strip():
            raise InvalidExpression("the expression can not be empty")
        node = parse(text)
        nodes.append(node)
        return node

    def _look_at(self, node: Any) -> None:
        if isinstance(node, Node):
            if node.kind in ("path", "value"):
                for part in node.parts:
                    if isinstance(part, str) and part[0] in "#:":
                        if part not in (self._names if part[0] == "#" else self._values):
                            raise InvalidExpression(f"an expression uses {part}, which is not defined")
                        self._used.add(part)
                return
            for part in node.parts:
                self._look_at(part)
        elif isinstance(node, tuple):
            for part in node:
                self._look_at(part)

    def path(self, node: Node) -> Path:
        """A document path with its names put in."""
        return tuple(
            self._names[part] if isinstance(part, str) and part[0] == "#" else part for part in node.parts
        )

    def _check_overlaps(self, update: Node) -> None:
        paths = [self.path(action[0]) for _, actions in update.parts for action in actions]
        for index, one in enumerate(paths):
            for other in paths[index + 1 :]:
                shorter = min(len(one), len(other))
                if one[:shorter] == other[:shorter]:
                    raise InvalidExpression("Two document paths overlap with each other")

    # -- evaluating ----------------------------------------------------------------------------------------------

    def holds(self, node: Node | None, item: Mapping[str, Attribute] | None) -> bool:
        """Whether a condition is true of an item; of none, it is tested against an empty one."""
        return node is None or self._test(node, item or {})

    def _test(self, node: Node, item: Mapping[str, Attribute]) -> bool:
        match node.kind:
            case "or":
                return any(self._test(part, item) for part in node.parts)
            case "and":
                return all(self._test(part, item) for part in node.parts)
            case "not":
                return not self._test(node.parts[0], item)
            case "attribute_exists":
                return _at(item, self.path(node.parts[0])) is not None
            case "attribute_not_exists":
                return _at(item, self.path(node.parts[0])) is None
            case "in":
                value, *choices = (self._operand(part, item) for part in node.parts)
                return value is not None and value in choices
            case "between":
                value, low, high = (self._operand(part, item) for part in node.parts)
                return _compared("<=", low, value) and _compared("<=", value, high)
            case "begins_with":
                value, prefix = (self._operand(part, item) for part in node.parts)
                return bool(value and prefix and value.get("S", "").startswith(prefix["S"]) and "S" in value)
            case "contains":
                value, part = (self._operand(part, item) for part in node.parts)
                return _contains(value, part)
            case "=" | "<>" | "<" | "<=" | ">" | ">=":
                left, right = (self._operand(part, item) for part in node.parts)
                return _compared(node.kind, left, right)
        raise InvalidExpression(f"the in-memory cloud does not know {node.kind}")

    def _operand(self, node: Node, item: Mapping[str, Attribute]) -> Attribute | None:
        match node.kind:
            case "value":
                return self._values[node.parts[0]]
            case "path":
                return _at(item, self.path(node))
            case "if_not_exists":
                found = _at(item, self.path(node.parts[0]))
                return self._operand(node.parts[1], item) if found is None else found
            case "list_append":
                one, other = (self._operand(part, item) for part in node.parts)
                if one is None or other is None or "L" not in one or "L" not in other:
                    raise InvalidExpression("list_append takes two lists")
                return {"L": [*one["L"], *other["L"]]}
            case "+" | "-":
                left, right = (self._operand(part, item) for part in node.parts)
                if left is None or right is None:
                    raise InvalidExpression(
                        "The provided expression refers to an attribute that does not exist"
                    )
                if "N" not in left or "N" not in right:
                    raise InvalidExpression("Incorrect operand type for operator or function")
                sign = 1 if node.kind == "+" else -1
                return {"N": number_text(Decimal(left["N"]) + sign * Decimal(right["N"]))}
        raise InvalidExpression(f"the in-memory cloud does not know {node.kind}")

    def updated(self, item: Mapping[str, Attribute]) -> dict[str, Attribute]:
        """The item after the update; every operand is read from the item before it."""
        assert self.update is not None
        changed = copied_item(item)
        for clause, actions in self.update.parts:
            for path_node, *operands in actions:
                path = self.path(path_node)
                if clause == "REMOVE":
                    _remove(changed, path)
                    continue
                if clause == "SET":
                    value = self._operand(operands[0], item)
                    if value is None:
                        raise InvalidExpression(
                            "The provided expression refers to an attribute that does not exist in the item"
                        )
                else:
                    value = _added(clause, _at(item, path), self._values[operands[0].parts[0]])
                _put(changed, path, copied(value))
        return changed


def number_text(number: Decimal) -> str:
    """A number as DynamoDB writes it."""
    return format(number.normalize(), "f") if number else "0"


def _added(clause: str, before: Attribute | None, value: Attribute) -> Attribute:
    if clause != "ADD" or "N" not in value:
        raise InvalidExpression("the in-memory cloud only adds numbers")
    if before is not None and "N" not in before:
        raise InvalidExpression("An operand in the update expression has an incorrect data type")
    return {"N": number_text(Decimal(before["N"] if before else 0) + Decimal(value["N"]))}


def _at(item: Mapping[str, Attribute], path: Path) -> Attribute | None:
    found: Attribute | None = item.get(str(path[0]))
    for part in path[1:]:
        if found is None:
            return None
        if isinstance(part, int):
            members = found.get("L", [])
            found = members[part] if part < len(members) else None
        else:
            found = found.get("M", {}).get(part)
    return found


def _parent(item: dict[str, Attribute], path: Path) -> Any:
    if len(path) == 1:
        return item
    parent = _at(item, path[:-1])
    kind = "L" if isinstance(path[-1], int) else "M"
    if parent is None or kind not in parent:
        raise InvalidExpression("The document path provided in the update expression is invalid for update")
    return parent[kind]


def _put(item: dict[str, Attribute], path: Path, value: Attribute) -> None:
    parent = _parent(item, path)
    if isinstance(path[-1], int) and path[-1] >= len(parent):
        parent.append(value)
    else:
        parent[path[-1]] = value


def _remove(item: dict[str, Attribute], path: Path) -> None:
    parent = _parent(item, path)
    if isinstance(path[-1], int):
        del parent[path[-1] : path[-1] + 1]
    else:
        parent.pop(path[-1], None)


def _comparable(value: Attribute | None) -> tuple[str, Any] | None:
    if value is None:
        return None
    ((kind, content),) = value.items()
    return kind, Decimal(content) if kind == "N" else content


def _compared(operator: str, left: Attribute | None, right: Attribute | None) -> bool:
    one, other = _comparable(left), _comparable(right)
    if operator == "<>":
        return one != other
    if one is None or other is None:
        return False
    if operator == "=":
        return one == other
    if one[0] != other[0]:
        return False
    if one[0] not in ("S", "N", "B"):
        raise InvalidExpression("Invalid operand type for operator or function")
    low, high = one[1], other[1]
    if one[0] == "S":  # DynamoDB orders strings by their UTF-8 bytes
        low, high = low.encode(), high.encode()
    return bool({"<": low < high, "<=": low <= high, ">": low > high, ">=": low >= high}[operator])


def _contains(value: Attribute | None, part: Attribute | None) -> bool:
    if value is None or part is None:
        return False
    if "S" in value:
        return "S" in part and part["S"] in value["S"]
    if "L" in value:
        return part in value["L"]
    for kind in ("SS", "NS", "BS"):
        if kind in value:
            return part.get(kind[0]) in value[kind]
    return False


def copied(value: Attribute) -> Attribute:
    """A typed value that shares nothing with the given one."""
    ((kind, content),) = value.items()
    if kind == "M":
        return {"M": copied_item(content)}
    if kind == "L":
        return {"L": [copied(each) for each in content]}
    return {kind: list(content) if isinstance(content, list) else content}


def copied_item(item: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """An item that shares nothing with the given one."""
    return {name: copied(value) for name, value in item.items()}
