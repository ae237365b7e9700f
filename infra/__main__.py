"""Entry point of the Pulumi program: load settings, build the estate, export its outputs."""

import pulumi

from rayline_infra.estate import Estate
from rayline_infra.exports import exports
from rayline_infra.settings import load_stack_settings

estate = Estate("rayline", load_stack_settings())
for name, value in exports(estate).items():
    pulumi.export(name, value)
