"""`node doctor`: what works on this machine, what does not, and the command that mends it.

Asks the household, prints. Knows nothing of what is looked at.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

from cyclopts import Parameter

from cli.common import Common, household
from cli.render import show_findings, write_json


def doctor(
    *, deep: Annotated[bool, Parameter(negative="", show_default=False)] = False, common: Common | None = None
) -> int:
    """Look at this machine and say what works, what does not, and the command that mends it.

    The exit code is 0 when everything works, 2 when something is missing or broken.

    Parameters
    ----------
    deep
        Also run every engine once on a small real job.
    """
    common = common or Common()
    from node.doctor import Finding, examine, is_well
    from node.errors import BadCatalogue

    findings: list[Finding] = []
    with ExitStack() as stack:
        try:
            node = stack.enter_context(household(common))
        except BadCatalogue as error:  # the rest can be looked at without
            findings.append(Finding("engines", "catalogue", "broken", error.sentence, error.remedy))
            node = stack.enter_context(household(common, own=False))
        findings += examine(node.config, node.registry, deep=deep, broken=node.broken)
    if common.json:
        write_json({"well": is_well(findings), "findings": [finding.as_dict() for finding in findings]})
    else:
        show_findings(findings)
    return 0 if is_well(findings) else 2
