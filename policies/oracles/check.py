"""Asks parliament about IAM documents and checkov about a Terraform plan.

Reads ``{"documents": {name: document}, "plan": {...}}`` from standard input; writes ``{"parliament": {"evaluated": n,
"findings": [[name, issue]]}, "checkov": {"evaluated": n, "checks": n, "findings": [[resource, check, title]]}}``.
"""

import contextlib
import io
import json
import sys
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import parliament  # noqa: E402
from checkov.runner_filter import RunnerFilter  # noqa: E402
from checkov.terraform.plan_runner import Runner  # noqa: E402

request = json.load(sys.stdin)
issues = []
for name, document in request["documents"].items():
    for finding in parliament.analyze_policy_string(json.dumps(document)).findings:
        issues.append([name, finding.issue, str(finding.detail)[:200]])

with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    plan = Path(folder) / "plan.json"
    plan.write_text(json.dumps(request["plan"]), "utf-8")
    report = Runner().run(files=[str(plan)], runner_filter=RunnerFilter(framework=["terraform_plan"]))

records = report.passed_checks + report.failed_checks
json.dump(
    {
        "parliament": {"evaluated": len(request["documents"]), "findings": issues},
        "checkov": {
            "evaluated": len({record.resource for record in records}),
            "checks": len({record.check_id for record in records}),
            "findings": sorted([r.resource, r.check_id, r.check_name] for r in report.failed_checks),
        },
    },
    sys.stdout,
)
