-- view: What is mapped to which environment, as in force. What is not mapped is in no environment.
-- environment: Its name.
-- tier: Its class, such as production.
-- repository: The repository that its paths are limited to; empty for all.
-- paths: Shell patterns of paths, one a line.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
-- clusters: Names of clusters, one a line; empty for all.
-- namespaces: Shell patterns of namespaces that are deployed to, one a line; empty for all.
-- applications: Shell patterns of names of applications, one a line; empty for all.
select environment, tier, repository, paths, evidence_position, recorded_at, clusters, namespaces, applications
from model_environment where withdrawn = 0
