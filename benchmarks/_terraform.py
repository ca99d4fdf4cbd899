"""A made-up Terraform repository, the same for the same size: many small folders of `.tf` files.

Shaped after large ones: each folder is one service, most files are short, files of one kind are alike
from folder to folder, most commits change a value in one file and land by a merge, some bump a version
in many folders at once.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks._figures import FailedError

SEED = 20_250_101
COMMITS, BLOBS = 20_000, 22_000
PEOPLE = [f"Person {number} <p{number}@example.org>" for number in range(40)]
START = 1_600_000_000

VARIABLES = """variable "namespace" {{
  description = "The namespace that the service runs in"
  type        = string
  default     = "{name}"
}}

variable "environment" {{
  default = "{stage}"
}}

variable "team" {{
  description = "Who is called at night"
  default     = "team-{team}"
}}

variable "is_production" {{
  default = "{production}"
}}

variable "revision" {{
  default = "{number}"
}}
"""
DATABASE = """module "database" {{
  source = "example.org/modules/rds-instance/aws"
  version = "{major}.{minor}.0"

  vpc_name               = var.vpc_name
  db_engine              = "postgres"
  db_engine_version      = "{engine}"
  db_instance_class      = "db.t4g.{size}"
  db_allocated_storage   = {storage}
  prepare_for_upgrade    = false
  allow_minor_upgrade    = true
  backup_window          = "22:00-23:59"
  deletion_protection    = var.is_production

  application            = var.application
  business_unit          = var.business_unit
  environment_name       = var.environment
  namespace              = var.namespace
  team_name              = var.team

  db_parameter = [
    {{
      name         = "rds.force_ssl"
      value        = "{flag}"
      apply_method = "immediate"
    }},
    {{
      name         = "max_connections"
      value        = "{number}"
      apply_method = "pending-reboot"
    }},
  ]

  providers = {{
    aws = aws.london
  }}
}}

resource "kubernetes_secret" "database" {{
  metadata {{
    name      = "database-output"
    namespace = var.namespace
  }}

  data = {{
    endpoint = module.database.rds_instance_endpoint
    name     = module.database.database_name
    username = module.database.database_username
    address  = module.database.rds_instance_address
  }}
}}
"""
BUCKET = """module "bucket" {{
  source  = "example.org/modules/s3-bucket/aws"
  version = "{major}.{minor}.0"

  team_name        = var.team
  namespace        = var.namespace
  versioning       = {truth}
  logging_enabled  = true
  lifecycle_rule = [
    {{
      enabled = true
      id      = "retire after {number} days"
      prefix  = "logs/"
      expiration = [{{ days = {storage} }}]
    }}
  ]
}}

output "bucket_name" {{
  value = module.bucket.bucket_name
}}
"""
ROLE = """module "role" {{
  source    = "example.org/modules/irsa/aws"
  version   = "{major}.{minor}.0"
  namespace = var.namespace
  role_policy_arns = {{
    bucket   = module.bucket.irsa_policy_arn
    database = aws_iam_policy.database_{number}.arn
  }}
}}

resource "aws_iam_policy" "database_{number}" {{
  name   = "{name}-database"
  policy = data.aws_iam_policy_document.database.json
}}

data "aws_iam_policy_document" "database" {{
  statement {{
    actions   = ["rds:DescribeDBInstances", "rds:StartDBInstance", "rds:StopDBInstance"]
    resources = ["arn:aws:rds:eu-west-2:{team}:db:${{module.database.db_identifier}}"]
  }}
}}
"""
VERSIONS = """terraform {{
  required_version = ">= 1.{minor}.0"
  required_providers {{
    aws = {{
      source  = "hashicorp/aws"
      version = "~> {major}.{engine}"
    }}
    kubernetes = {{
      source  = "hashicorp/kubernetes"
      version = "~> 2.{storage}"
    }}
  }}
}}

# {number}
provider "aws" {{
  region = "eu-west-2"
}}

provider "aws" {{
  alias  = "london"
  region = "eu-west-2"
}}
"""
COMMON = """
variable "{0}" {{{{
  description = "{1}, as everywhere"
  type        = string
}}}}
"""
NAMES = {
    "vpc_name": "The network that the service runs in",
    "application": "What the service is called",
    "business_unit": "Whose budget pays for the service",
    "infrastructure_support": "Where to write to when something is broken",
    "slack_channel": "Where to ask",
    "github_owner": "Whose repository it is",
    "kubernetes_cluster": "The cluster that the service runs in",
}
FILES = {
    "variables.tf": VARIABLES + "".join(COMMON.format(*one) for one in NAMES.items()),
    "rds.tf": DATABASE + "\n" + DATABASE.replace("database", "replica"),
    "s3.tf": "\n".join(BUCKET.replace("bucket", name) for name in ("bucket", "logs", "archive")),
    "irsa.tf": "\n".join(ROLE.replace("database", name) for name in ("database", "queue", "topic")),
    "versions.tf": VERSIONS,
}
Files = dict[str, str]


class _Services:
    """The folders that there are, and what a commit does to them."""

    def __init__(self, early: int) -> None:
        self._early = early
        self.random = random.Random(SEED)  # noqa: S311 (the same each time)
        self._folders: list[str] = []
        self._values: dict[str, dict[str, object]] = {}
        self.blobs = 0

    def change(self, budget: float) -> Files:
        """path → content of what the next commit changes: some `budget` files on the average."""
        choice = self.random.random()
        new = 0.25 if len(self._folders) < self._early else 0.04
        if not self._folders or choice < new:
            return self._new_folder()
        if choice < new + (budget - 1.2) / 11.5:  # a version bumped in many folders
            count = min(len(self._folders), self.random.randint(5, 20))
            folders = self.random.sample(self._folders, count)
            return dict(self._edit(folder, "versions.tf") for folder in folders)
        folder = self.random.choice(self._folders)
        return dict([self._edit(folder, self.random.choice(list(FILES)))])

    def _new_folder(self) -> Files:
        number = len(self._folders)
        folder = f"namespaces/live.example.org/service-{number}-{self.random.randrange(10_000)}"
        self._folders.append(folder)
        return dict(self._edit(folder, name) for name in FILES)

    def one_file(self) -> Files:
        """One more blob."""
        return dict([self._edit(self.random.choice(self._folders), "rds.tf")])

    def _edit(self, folder: str, name: str) -> tuple[str, str]:
        path = f"{folder}/resources/{name}"
        values = self._values.setdefault(path, self._first(folder))
        self.blobs += 1
        values["number"] = self.blobs  # which tells every blob from every other
        for key in self.random.sample(["minor", "engine", "storage", "size"], 2):
            values[key] = self._value(key)
        return path, FILES[name].format(**values)

    def _first(self, folder: str) -> dict[str, object]:
        values: dict[str, object] = {
            key: self._value(key) for key in ("major", "minor", "engine", "storage", "size")
        }
        stage = self.random.choice(["dev", "staging", "prod"])
        team = self.random.randrange(200)
        return values | {
            "name": folder.rsplit("/", 1)[-1],
            "stage": stage,
            "production": str(stage == "prod").lower(),
            "team": team,
            "flag": team % 2,
            "truth": str(team % 3 == 0).lower(),
        }

    def _value(self, key: str) -> object:
        if key == "size":
            return self.random.choice(["micro", "small", "medium", "large"])
        return self.random.randint(1, {"major": 6, "minor": 12, "engine": 17, "storage": 90}[key])


def make(path: Path, commits: int = COMMITS) -> None:
    """Writes a bare repository with so many commits, 100 or more, and 1.1 times as many distinct blobs.

    Two of five commits are merges of a branch of one commit.
    """
    path.mkdir(parents=True)
    init = ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)]
    subprocess.run(init, check=True)
    blobs = commits * BLOBS // COMMITS
    services = _Services(early=commits * 3 // 100)
    stream = _stream(services, commits, blobs)
    importing = ["git", "fast-import", "--quiet", "--done"]
    with subprocess.Popen(importing, cwd=path, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for part in stream:
            process.stdin.write(part)
        process.stdin.close()
    if process.returncode:
        raise FailedError("git fast-import failed")
    subprocess.run(["git", "repack", "-adfq", "--depth=50"], cwd=path, check=True)


def _stream(services: _Services, commits: int, blobs: int) -> Iterator[bytes]:
    mark = 0
    plan = [kind for _ in range(commits // 5) for kind in ("merged", "direct", "merged")]
    plan = (plan + ["direct"] * commits)[: len(plan) + commits % 5]
    for place, kind in enumerate(plan):
        left = len(plan) - place
        budget = (blobs - services.blobs) / left
        files = _planned(services, budget, blobs, left)
        tip = mark
        mark += 1
        branch = "refs/heads/main" if kind == "direct" else "refs/heads/work"
        yield _commit(services, branch, mark, tip, f"Change {len(files)} files", files)
        if kind == "merged":
            mark += 1
            message = f"Merge pull request #{mark} from team/work"
            yield _commit(services, "refs/heads/main", mark, tip, message, files, merged=mark - 1)
    yield b"reset refs/heads/work\nfrom 0000000000000000000000000000000000000000\n\ndone\n"


def _planned(services: _Services, budget: float, blobs: int, left: int) -> Files:
    """What the next commit changes, so that the number of blobs comes out as it should."""
    spare = blobs - services.blobs - left
    if left == 1 or spare < 25:
        wanted = 1 + (spare if left == 1 else 0)
        files: Files = {}
        while len(files) < wanted:
            files |= services.one_file()
        return files
    return services.change(budget)


def _commit(
    services: _Services,
    branch: str,
    mark: int,
    tip: int,
    message: str,
    files: Files,
    merged: int = 0,
) -> bytes:
    person = services.random.choice(PEOPLE)
    at = START + mark * 600
    lines = [f"commit {branch}\nmark :{mark}\nauthor {person} {at} +0000\n"]
    lines.append(f"committer {person} {at} +0000\n{_data(message)}")
    if tip:
        lines.append(f"from :{tip}\n")
    if merged:
        lines.append(f"merge :{merged}\n")
    lines += [f"M 100644 inline {path}\n{_data(text)}" for path, text in files.items()]
    return "".join(lines).encode()


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"
