"""The tests that prove a control by use, beside the two that every control has."""

from collections.abc import Mapping

# Every control: it finds what breaks it, and every stack keeps it.
OF_EVERY_CONTROL = (
    "tests/infra/test_policy_controls.py::test_a_control_passes_what_keeps_it_and_finds_what_breaks_it",
    "tests/infra/test_policy_controls.py::test_the_estate_keeps_every_control",
)
PROOFS: Mapping[str, tuple[str, ...]] = {
    "ENC-3": (
        "tests/infra/test_zones.py::test_the_account_itself_cannot_decrypt_without_a_service_in_between",
    ),
    "ENC-4": ("tests/infra/test_program.py::test_jobs_encrypt_with_the_deidentified_key",),
    "ZON-1": ("tests/infra/test_zones.py::test_buckets_use_their_zones_key",),
    "ZON-2": (
        "tests/infra/test_zones.py::test_roles_read_only_their_buckets",
        "tests/end_to_end/test_leak_search.py::test_with_deid_there_is_nothing_to_find",
        "tests/end_to_end/test_leak_search.py::test_even_then_neither_logs_nor_events_name_anybody",
    ),
    "ZON-3": (
        "tests/infra/test_zones.py::test_identified_buckets_refuse_the_deidentified_zones_roles_outright",
    ),
    "IAM-2": (
        "tests/infra/test_zones.py::test_roles_write_only_their_buckets",
        "tests/infra/test_zones.py::test_writes_stay_under_their_prefix",
    ),
    "KEY-1": ("tests/infra/test_zones.py::test_a_key_opens_for_a_role_only_by_key_policy_and_role_policy",),
    "KEY-2": (
        "tests/infra/test_keys.py::test_whoever_deploys_may_make_the_grants_of_what_is_declared_and_no_others",
    ),
    "LOG-2": (
        "tests/end_to_end/test_bad_input.py"
        "::test_a_patient_is_shown_only_where_that_was_asked_for_and_then_it_is_on_record",
    ),
    "RET-4": (
        "tests/end_to_end/test_replay.py::test_the_archive_brings_back_what_was_lost_and_repeats_nothing",
    ),
    "WIR-3": (
        "tests/end_to_end/test_replay.py::test_dead_letters_are_shown_then_sent_again_and_handled",
        "tests/end_to_end/test_processor_killed.py::test_nothing_is_lost",
    ),
    "CON-3": ("tests/infra/test_program.py::test_secrets_are_injected_by_reference_only",),
    "DEL-5": ("tests/infra/test_program.py::test_the_datastore_is_protected_and_its_tags_are_fixed",),
    "BAK-1": ("tests/infra/test_program.py::test_tables_have_their_keys_and_can_be_restored",),
}
