"""The rules of the HIPAA Security Rule that the controls serve (45 CFR part 164, subpart C)."""

from collections.abc import Mapping
from typing import Literal

Kind = Literal["standard", "required", "addressable"]
# citation: (name in the rule, whether it is a standard or a required or addressable specification)
RULES: Mapping[str, tuple[str, Kind]] = {
    "164.308(a)(1)(ii)(D)": ("Information system activity review", "required"),
    "164.308(a)(4)(ii)(B)": ("Access authorization", "addressable"),
    "164.308(a)(5)(ii)(B)": ("Protection from malicious software", "addressable"),
    "164.308(a)(6)(ii)": ("Response and reporting", "required"),
    "164.308(a)(7)(ii)(A)": ("Data backup plan", "required"),
    "164.308(a)(7)(ii)(B)": ("Disaster recovery plan", "required"),
    "164.308(a)(7)(ii)(C)": ("Emergency mode operation plan", "required"),
    "164.310(d)(2)(i)": ("Disposal", "required"),
    "164.310(d)(2)(iii)": ("Accountability", "addressable"),
    "164.310(d)(2)(iv)": ("Data backup and storage", "addressable"),
    "164.312(a)(1)": ("Access control", "standard"),
    "164.312(a)(2)(i)": ("Unique user identification", "required"),
    "164.312(a)(2)(iii)": ("Automatic logoff", "addressable"),
    "164.312(a)(2)(iv)": ("Encryption and decryption", "addressable"),
    "164.312(b)": ("Audit controls", "standard"),
    "164.312(c)(1)": ("Integrity", "standard"),
    "164.312(c)(2)": ("Mechanism to authenticate electronic protected health information", "addressable"),
    "164.312(d)": ("Person or entity authentication", "standard"),
    "164.312(e)(1)": ("Transmission security", "standard"),
    "164.312(e)(2)(ii)": ("Encryption (of transmissions)", "addressable"),
    "164.316(b)(2)(i)": ("Time limit: documentation is retained for six years", "required"),
}


def address(citation: str) -> str:
    """Where the text of a rule is published."""
    return f"https://www.ecfr.gov/current/title-45/section-{citation.split('(')[0]}"
