"""Brings the local cloud to what the program declares, and removes what it no longer does."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rayline_infra.planning.errors import ProgramError
from rayline_infra.planning.monitor import SECRET_DIGEST
from rayline_infra.planning.outputs import Place, invent
from rayline_infra.policies.graph import Resource
from rayline_local.provisioner.adapters import NOT_EMULATED, Adapter, adapter_for
from rayline_local.provisioner.clients import Clients
from rayline_local.provisioner.errors import ProvisionError
from rayline_local.provisioner.state import EstateState, Provisioned

T = TypeVar("T")
Report = Callable[[str], None]
SHOWN_CHARACTERS = 60


class Reconciler:
    """The backend that applies resources through boto3; it saves the state as it goes."""

    def __init__(self, state: EstateState, clients: Clients, report: Report) -> None:
        self._state = state
        self._clients = clients
        self._report = report
        self._adapters: dict[str, Adapter] = {}
        self._declared: set[str] = set()
        self.counts = dict.fromkeys(("created", "restored", "updated", "replaced", "deleted", "unchanged"), 0)

    def register(self, resource: Resource, plain_inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Create, update or leave alone one resource; answers its id and outputs.

        Raises:
            ProvisionError: the type is unknown, the resource is protected from the change, or the local
                cloud refused.
        """
        self._declared.add(resource.urn)
        if resource.type in NOT_EMULATED:
            where = Place(self._clients.account_id, self._clients.region)
            identity, invented = invent(resource.type, resource.name, plain_inputs, where)
            return identity, {**plain_inputs, **invented}
        adapter = self._adapter(resource.type)
        recorded = self._state.resources.get(resource.urn)
        if recorded is None:
            return self._bring_about("created", adapter, resource, plain_inputs, None)
        if not self._attempt(resource, lambda: adapter.exists(recorded.id, recorded.inputs)):
            return self._bring_about("restored", adapter, resource, plain_inputs, None)
        changed = _changed(recorded.inputs, resource.inputs)
        if not changed:
            self.counts["unchanged"] += 1
            self._remember(resource, recorded.id, recorded.outputs)
            return recorded.id, dict(recorded.outputs)
        if adapter.replaced_by & set(changed):
            return self._replace(adapter, resource, plain_inputs, recorded, changed)
        self._show_changes(recorded, resource, changed)
        return self._bring_about("updated", adapter, resource, plain_inputs, recorded.id)

    def finish(self, outputs: Mapping[str, Any]) -> None:
        """Remove what is no longer declared, in reverse order of creation, and keep the outputs.

        Raises:
            ProvisionError: a protected resource is no longer declared; nothing is removed then.
        """
        orphans = [each for urn, each in self._state.resources.items() if urn not in self._declared]
        if protected := [each for each in orphans if each.protect and not each.retain_on_delete]:
            names = ", ".join(f"{each.type} {each.name}" for each in protected)
            raise ProvisionError(
                f"no longer declared but protected: {names}; unprotect in one run, remove in the next"
            )
        for orphan in reversed(orphans):
            if orphan.retain_on_delete:
                self._report(f"retained  {orphan.type} {orphan.name}")
            else:
                adapter = self._adapter(orphan.type)
                self._attempt(orphan, lambda a=adapter, o=orphan: a.delete(o.id, o.inputs))  # type: ignore[misc]
                self._report(f"deleted   {orphan.type} {orphan.name}")
                self.counts["deleted"] += 1
            del self._state.resources[orphan.urn]
            self._state.save_soon()
        self._state.outputs = dict(outputs)
        self._state.save()

    def _adapter(self, type_token: str) -> Adapter:
        if type_token not in self._adapters:
            self._adapters[type_token] = adapter_for(type_token, self._clients)
        return self._adapters[type_token]

    def _bring_about(
        self,
        verb: str,
        adapter: Adapter,
        resource: Resource,
        plain_inputs: Mapping[str, Any],
        existing_id: str | None,
    ) -> tuple[str, dict[str, Any]]:
        made = self._attempt(resource, lambda: adapter.put(plain_inputs, existing_id))
        secret_names = {key for key, value in resource.inputs.items() if _is_digest(value)}
        outputs = {**{k: v for k, v in plain_inputs.items() if k not in secret_names}, **made.outputs}
        self._remember(resource, made.id, outputs)
        self._state.save_soon()
        self.counts[verb] += 1
        self._report(f"{verb:9} {resource.type} {resource.name}")
        return made.id, outputs

    def _replace(
        self,
        adapter: Adapter,
        resource: Resource,
        plain_inputs: Mapping[str, Any],
        recorded: Provisioned,
        changed: list[str],
    ) -> tuple[str, dict[str, Any]]:
        if recorded.protect or resource.protect:
            raise ProvisionError(
                f"{resource.type} {resource.name} is protected, and a change of {', '.join(changed)} would "
                "replace it; undo the change or unprotect it first"
            )
        if not recorded.retain_on_delete:
            self._attempt(recorded, lambda: adapter.delete(recorded.id, recorded.inputs))
        del self._state.resources[recorded.urn]
        return self._bring_about("replaced", adapter, resource, plain_inputs, None)

    def _remember(self, resource: Resource, resource_id: str, outputs: Mapping[str, Any]) -> None:
        self._state.resources[resource.urn] = Provisioned(
            urn=resource.urn,
            type=resource.type,
            name=resource.name,
            id=resource_id,
            inputs=resource.inputs,
            outputs=outputs,
            parent=resource.parent,
            dependencies=resource.dependencies,
            protect=resource.protect,
            retain_on_delete=resource.retain_on_delete,
        )

    def _attempt(self, resource: Resource | Provisioned, act: Callable[[], T]) -> T:
        try:
            return act()
        except ProgramError:
            raise
        except Exception as error:
            raise ProvisionError(
                f"{resource.type} {resource.name}: {type(error).__name__}: {error}"
            ) from error

    def _show_changes(self, recorded: Provisioned, resource: Resource, changed: list[str]) -> None:
        for name in changed:
            before, after = _shown(recorded.inputs.get(name)), _shown(resource.inputs.get(name))
            self._report(f"  {resource.name}.{name}: {before} -> {after}")


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _is_digest(value: Any) -> bool:
    return isinstance(value, Mapping) and SECRET_DIGEST in value


def _shown(value: Any) -> str:
    if _is_digest(value):
        return "[secret]"
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
