"""Whatever is wrong with a plugin or a site profile ends start-up, and the message names plugin and fix."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from support.installed_plugin import install_plugin
from support.plugins import Plugin

from rayline.discovery import installed_plugins, load_plugin, load_site_plugins, registry_of
from rayline.errors import ConfigurationError
from rayline.plugin import Context, Event, Instance, Policy, Rejection, Uploaded, hookimpl
from rayline.profile import PluginProfile, SiteProfile, load_profile

GOOD = """
    from rayline.plugin import Policy, hookimpl

    api = 1
    name = {name!r}
    policies = {{"on_uploaded": Policy(on_failure="ignore", timeout_seconds=5, order=7)}}

    @hookimpl
    def on_uploaded(event, context):
        pass
"""


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path to install plugins into."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def profile_of(*plugins: PluginProfile) -> SiteProfile:
    return SiteProfile(identity="original", plugins=plugins)


# -- installed or not


def test_a_required_plugin_that_is_not_installed_ends_start_up(site_packages: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"requires plugin no_such_plugin.*install it"):
        load_site_plugins(profile_of(PluginProfile(name="no_such_plugin")))


def test_an_optional_plugin_may_be_missing(site_packages: Path) -> None:
    assert load_site_plugins(profile_of(PluginProfile(name="no_such_plugin", required=False))) == []


def test_a_listed_plugin_is_loaded_with_its_version_and_policy(site_packages: Path) -> None:
    install_plugin(site_packages, "good", GOOD.format(name="good"))
    (plugin,) = load_site_plugins(profile_of(PluginProfile(name="good")))
    assert (plugin.name, plugin.version, plugin.required) == ("good", "1.2.3", True)
    (implementation,) = plugin.implementations
    assert implementation.policy == Policy(on_failure="ignore", timeout_seconds=5, order=7)


def test_an_installed_plugin_that_the_site_does_not_list_is_not_even_imported(site_packages: Path) -> None:
    install_plugin(site_packages, "unlisted", "raise AssertionError('imported')")
    assert "unlisted" in installed_plugins()
    assert load_site_plugins(profile_of()) == []
    assert "plugin_unlisted" not in sys.modules


def test_a_plugin_that_cannot_be_imported_ends_start_up_even_if_it_is_optional(site_packages: Path) -> None:
    install_plugin(site_packages, "broken", "import no_such_module_at_all")
    with pytest.raises(ConfigurationError, match=r"plugin broken cannot be imported: ModuleNotFoundError"):
        load_site_plugins(profile_of(PluginProfile(name="broken", required=False)))


def test_an_entry_point_must_carry_its_plugins_name(site_packages: Path) -> None:
    install_plugin(site_packages, "alias", GOOD.format(name="other"))
    with pytest.raises(ConfigurationError, match=r"entry point alias .* calls itself other"):
        load_site_plugins(profile_of(PluginProfile(name="alias")))


def test_two_packages_may_not_offer_a_plugin_by_one_name(site_packages: Path) -> None:
    install_plugin(site_packages, "twin", GOOD.format(name="twin"), module="first_twin")
    install_plugin(site_packages, "twin", GOOD.format(name="twin"), module="second_twin")
    with pytest.raises(ConfigurationError, match=r"offer a plugin twin.*uninstall one"):
        load_site_plugins(profile_of(PluginProfile(name="twin")))


def test_a_plugin_listed_twice_is_refused(site_packages: Path) -> None:
    install_plugin(site_packages, "good", GOOD.format(name="good"))
    listed = [PluginProfile(name="good"), PluginProfile(name="good")]
    with pytest.raises(ConfigurationError, match=r"two plugins are called good"):
        registry_of(load_site_plugins(profile_of(*listed)))


# -- the contract


def on_uploaded(event: Event) -> None:
    """An observer."""


class NoApi(Plugin):
    api = 0


class NoName:
    api = 1


class Misspelled:
    api = 1
    name = "misspelled"

    @hookimpl
    def on_uplaoded(self, event: Event) -> None:
        """Nobody calls this."""


class Wrapper:
    api = 1
    name = "wrapper"

    @hookimpl(wrapper=True)
    def on_uploaded(self, event: Event) -> Any:
        return (yield)


class OldWrapper:
    api = 1
    name = "oldwrapper"

    @hookimpl(hookwrapper=True)
    def on_uploaded(self, event: Event) -> Any:
        yield


class Optional:
    api = 1
    name = "optional"

    @hookimpl(optionalhook=True)
    def on_some_day(self, event: Event) -> None:
        """Nobody calls this."""


class Hurried:
    api = 1
    name = "hurried"

    @hookimpl(tryfirst=True)
    def on_uploaded(self, event: Event) -> None:
        """Would be first."""


class Strange:
    api = 1
    name = "strange"

    @hookimpl
    def on_uploaded(self, event: Event, patient: str) -> None:
        """Asks for what no hook gives."""


class KeywordOnly:
    api = 1
    name = "keywordonly"

    @hookimpl
    def on_uploaded(self, *, event: Event) -> None:
        """Could not be called."""


class Asynchronous:
    api = 1
    name = "asynchronous"

    @hookimpl
    async def on_uploaded(self, event: Event) -> None:
        """Would never run."""


class Generator:
    api = 1
    name = "generator"

    @hookimpl
    def on_uploaded(self, event: Event) -> Any:
        yield event


class Twice:
    api = 1
    name = "twice"

    @hookimpl
    def on_uploaded(self, event: Event) -> None:
        """Once."""

    @hookimpl(specname="on_uploaded")
    def on_uploaded_too(self, event: Event) -> None:
        """Twice."""


class WrongSettings:
    api = 1
    name = "wrongsettings"

    @hookimpl
    def settings_model(self) -> Any:
        return dict


IGNORING = Policy(on_failure="ignore", sees_phi=True)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (NoApi("old"), r"plugin old declares api 0; this processor speaks api 1"),
        (NoName(), r"declares no name; set name"),
        (Misspelled(), r"plugin misspelled .*on_uplaoded"),
        (Wrapper(), r"plugin wrapper: on_uploaded is a wrapper.*implement it plainly"),
        (OldWrapper(), r"plugin oldwrapper: on_uploaded is a wrapper"),
        (Optional(), r"plugin optional: on_some_day is a wrapper or optional hook"),
        (Hurried(), r"plugin hurried: on_uploaded asks to run first or last; declare an order"),
        (Strange(), r"(?s)plugin strange .*patient"),
        (KeywordOnly(), r"plugin keywordonly: on_uploaded cannot be called with its arguments"),
        (Asynchronous(), r"plugin asynchronous: on_uploaded is a coroutine or generator"),
        (Generator(), r"plugin generator: on_uploaded is a coroutine or generator"),
        (Twice(), r"plugin twice implements on_uploaded twice"),
        (WrongSettings(), r"plugin wrongsettings: settings_model returns no pydantic model"),
        (
            Plugin("unknown", {"on_uplaoded": Policy(on_failure="retry")}, on_uploaded=on_uploaded),
            r"plugin unknown declares a policy for the unknown hook 'on_uplaoded'",
        ),
        (
            Plugin("dict", {"on_uploaded": {"on_failure": "retry"}}, on_uploaded=on_uploaded),  # type: ignore[dict-item]
            r"plugin dict: the policy of on_uploaded is not a rayline.plugin.Policy",
        ),
        (Plugin("list", ["on_uploaded"], on_uploaded=on_uploaded), r"plugin list: policies is no mapping"),  # type: ignore[arg-type]
        (
            Plugin("lax", {"transform_instance": IGNORING}, transform_instance=lambda instance: instance),
            r"plugin lax: transform_instance may not ignore failures",
        ),
        (
            Plugin(
                "blind",
                {"screen_instance": Policy(on_failure="reject")},
                screen_instance=lambda instance: None,
            ),
            r"plugin blind: screen_instance gets instances as they were received; set sees_phi",
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_plugin_that_breaks_the_contract_is_refused_by_name(plugin: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_plugin(plugin, version="1.0")


def test_an_implementation_gets_those_arguments_that_it_names() -> None:
    seen: list[tuple[object, ...]] = []
    functions: list[Callable[..., None]] = [
        lambda: seen.append(()),
        lambda event: seen.append((event,)),
        lambda context, event: seen.append((context, event)),
        lambda event, note="unset": seen.append((event, note)),
    ]
    for function in functions:
        (implementation,) = load_plugin(Plugin("plugin", on_uploaded=function), version="1").implementations
        implementation.call({"event": "an event", "context": "a context"})
    assert seen == [(), ("an event",), ("a context", "an event"), ("an event", "unset")]


def test_hooks_without_a_declared_policy_fail_closed_where_images_are_decided_on() -> None:
    def screen_instance(instance: Instance) -> Rejection | None:
        return None

    def transform_instance(instance: Instance, context: Context) -> Instance | None:
        return None

    plugin = Plugin(
        "plain",
        screen_instance=screen_instance,
        transform_instance=transform_instance,
        accept_verification=lambda event: None,
        on_uploaded=lambda event: None,
    )
    policies = {each.hook: each.policy for each in load_plugin(plugin, version="1").implementations}
    assert {hook: (policy.on_failure, policy.sees_phi) for hook, policy in policies.items()} == {
        "screen_instance": ("reject", True),
        "transform_instance": ("reject", True),
        "accept_verification": ("reject", False),
        "on_uploaded": ("retry", False),
    }


# -- the site's word


class Threshold(BaseModel):
    """Settings of a test plugin."""

    percent: int


class WithSettings:
    api = 1
    name = "withsettings"

    @hookimpl
    def settings_model(self) -> type[BaseModel]:
        return Threshold

    @hookimpl
    def on_uploaded(self, event: Uploaded) -> None:
        """An observer."""


def loaded(plugin: object, **profile: Any) -> Any:
    return load_plugin(plugin, version="1", profile=PluginProfile.model_validate({"name": "x", **profile}))


def test_the_site_overrides_parts_of_a_policy() -> None:
    plugin = Plugin("plugin", {"on_uploaded": Policy(on_failure="ignore", order=3)}, on_uploaded=on_uploaded)
    given = loaded(plugin, policies={"on_uploaded": {"timeout_seconds": 9, "sees_phi": True}})
    assert given.implementations[0].policy == Policy(
        on_failure="ignore", order=3, timeout_seconds=9, sees_phi=True
    )


def test_the_site_cannot_make_a_transformer_ignore_failures() -> None:
    plugin = Plugin("deid", transform_instance=lambda instance: instance)
    with pytest.raises(ConfigurationError, match=r"plugin deid: transform_instance may not ignore"):
        loaded(plugin, policies={"transform_instance": {"on_failure": "ignore"}})


def test_a_site_policy_for_a_hook_that_the_plugin_lacks_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"policy for on_verified, which plugin plugin does not"):
        loaded(Plugin("plugin", on_uploaded=on_uploaded), policies={"on_verified": {"order": 1}})


def test_settings_reach_the_plugin_validated() -> None:
    given = loaded(WithSettings(), settings={"percent": "7"})
    assert given.implementations[0].settings == Threshold(percent=7)


def test_wrong_settings_name_plugin_and_field() -> None:
    with pytest.raises(ConfigurationError, match=r"settings of plugin withsettings .*percent"):
        loaded(WithSettings(), settings={"percent": "many"})
    with pytest.raises(ConfigurationError, match=r"plugin plugin takes no settings"):
        loaded(Plugin("plugin", on_uploaded=on_uploaded), settings={"percent": 1})


# -- the profile's file


def written(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_bytes(text.encode("latin-1"))
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identity: [", r"is not YAML"),
        ("- a\n- b\n", r"is wrong: document"),
        ("identity: anonymous", r"is wrong: identity"),
        ("plugin: []", r"is wrong: plugin: Extra inputs"),
        ("plugins: [{name: deid, requird: true}]", r"is wrong: plugins.0.requird"),
        (
            "plugins: [{name: deid, policies: {transform_instance: {timeout_seconds: 0}}}]",
            r"is wrong: plugins.0.policies.transform_instance.timeout_seconds",
        ),
        ("identity: \xff", r"no readable site profile at"),
    ],
)
def test_a_wrong_profile_names_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_profile(path)
    assert str(path) in str(caught.value)


def test_a_profile_that_cannot_be_read_names_the_setting(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match=r"RAYLINE_SITE_PROFILE"):
            load_profile(path)


def test_an_empty_profile_asks_for_deidentified_images(tmp_path: Path) -> None:
    assert load_profile(written(tmp_path, "")) == SiteProfile(identity="deidentified", plugins=())


@pytest.mark.parametrize("profile", ["local.yaml", "hospital-a.yaml"])
def test_the_repositorys_own_profiles_hold(repository: Path, profile: str) -> None:
    names = {plugin.name for plugin in load_site_plugins(load_profile(repository / "config/site" / profile))}
    assert "deid" in names
