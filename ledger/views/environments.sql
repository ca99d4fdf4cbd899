-- view: The mapping of paths to environments in force. What is not mapped is in no environment.
-- environment: Its name.
-- tier: Its class, such as production.
-- repository: The repository it is limited to; empty for all.
-- paths: Shell patterns of paths, one a line.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select environment, tier, repository, paths, evidence_position, recorded_at
from model_environment where withdrawn = 0
