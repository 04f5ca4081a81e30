"""What a site says of itself: what to do next when it is up, and how it is when somebody asks."""

import shlex
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.copilot.queue.errors import QueueError
from client.errors import BadInput
from client.messages import sentence
from client.service import site_monitor
from client.service.site_errors import SiteNotRunning
from client.service.site_folder import SiteFolder
from client.service.site_parts import child_specs
from client.service.site_plan import SitePlan
from client.service.site_queue import open_site_queue
from client.service.site_status import SiteStatus, read_status
from client.service.table import counted

_JOBS: Final = "--events 200 --number 3"
#: The demonstration needs software that the appliance brings.
_JOBS_WITHOUT_GUESTS: Final = "--command run.sh --input-files run.sh --number 3"


def advice(folder: SiteFolder, plan: SitePlan, appliance: Path | None) -> list[str]:
    """Lines for the operator of a site that has just come up."""
    where = shlex.quote(str(folder.base))
    return [
        "",
        *_for_workers(folder, plan, appliance),
        f"Jobs:        main.py submit --site {where} {_JOBS if appliance is not None else _JOBS_WITHOUT_GUESTS}",
        f"Look:        main.py jobs --site {where}; main.py agents --site {where}",
        f"Watch:       {site_monitor.url(folder, plan)}",
        f"End:         Ctrl+C, or main.py site down --site {where}",
        *([f"Appliance:   {appliance}"] if appliance is not None else []),
        "",
    ]


def _for_workers(folder: SiteFolder, plan: SitePlan, appliance: Path | None) -> list[str]:
    """How computers come to work for the site."""
    if appliance is not None:
        project = shlex.quote(str(folder.project))
        return [f"Volunteers:  main.py attach {project}      (whoever has this file may work for you)"]
    lines = ["Agents:      only those without a guest; docs/operator-guide.md says how they start"]
    if plan.shape.guests:
        gone = f"The appliance in {plan.shape.appliance} is gone" if plan.shape.appliance else "There is no appliance"
        what = "build one (make appliance), or name its folder with --appliance, and start the site again"
        lines.append(f"Volunteers:  none can attach yet. {gone}: {what}.")
    return lines


def status_facts(folder: SiteFolder, plan: SitePlan | None) -> dict[str, Any]:
    """Everything that is known of a site, running or not, as a JSON object.

    Args:
        plan: None: there is no site in the folder.
    """
    status = read_status(folder)
    parts = _parts(folder, plan, status) if plan and status else []
    facts: dict[str, Any] = {
        "folder": str(folder.base),
        "exists": plan is not None,
        "running": bool(status and status.pid),
        "ready": bool(status and status.ready) and all(part["ready"] for part in parts if part["needed"]),
        "pid": status.pid if status else None,
        "started_at": status.started_at if status else None,
        "children": status.children if status else {},
        "parts": parts,
    }
    if plan is not None:
        facts["project_file"] = str(folder.project) if folder.project.exists() else None
        facts["monitor"] = site_monitor.url(folder, plan) if facts["running"] else None
        facts |= {"ports": vars(plan.ports), **vars(plan.shape), **_queue_facts(folder)}
    return facts


def status_lines(facts: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    if not facts["exists"]:
        return [f"There is no site in {facts['folder']}."]
    if not facts["running"]:
        lines = ["The site does not run."]
    elif facts["ready"]:
        lines = ["The site is up."]
    else:
        late = [part["name"] for part in facts["parts"] if part["needed"] and not part["ready"]]
        lines = [f"The site is not ready: {', '.join(late)} does not serve." if late else "The site is starting."]
    width = max((len(part["name"]) for part in facts["parts"]), default=0)
    for part in facts["parts"]:
        restarts = f", started again {counted(part['restarts'], 'time')}" if part["restarts"] else ""
        state = "serves" if part["ready"] else "does not serve"
        lines.append(f"  {part['name']:{width}}  {part['pid'] or '-':>8}  {state}{restarts}")
    counts = facts.get("jobs")
    if counts is not None:
        lines.append("Jobs: " + ", ".join(f"{number:,} {state}" for state, number in counts.items()))
    if facts.get("queue_fault"):
        lines.append(f"The queue cannot be read: {facts['queue_fault']}")
    if facts.get("drained"):
        lines.append(_drained(facts["drained"]))
    if facts["running"] and facts.get("project_file"):
        lines.append(_project_line(facts))
        lines.append(f"Monitor: {facts['monitor']}")
    return lines


def _project_line(facts: Mapping[str, Any]) -> str:
    if facts["guests"] and facts["appliance"] and (Path(facts["appliance"]) / filenames.MANIFEST).is_file():
        return f"Project file for volunteers: {facts['project_file']}"
    return "Without an appliance: only agents without a guest can work for it."


def _drained(owners: list[str]) -> str:
    if "" in owners:
        return "It is drained: nobody gets a new job. To go on: main.py drain --off"
    return f"Drained, so without new jobs: {', '.join(owners)}"


def _parts(folder: SiteFolder, plan: SitePlan, status: SiteStatus) -> list[dict[str, Any]]:
    return [
        {
            "name": spec.name,
            "pid": status.children.get(spec.name),
            "needed": spec.is_needed,
            "ready": bool(status.children.get(spec.name)) and spec.is_ready(),
            "restarts": status.restarts.get(spec.name, 0),
        }
        for spec in child_specs(folder, plan)
    ]


def _queue_facts(folder: SiteFolder) -> dict[str, Any]:
    try:
        with closing(open_site_queue(folder)) as queue:
            return {"jobs": queue.counts(), "drained": sorted(queue.drained())}
    except SiteNotRunning:
        return {"jobs": None, "drained": []}
    except (QueueError, BadInput) as error:
        return {"jobs": None, "drained": [], "queue_fault": sentence(error).text}
