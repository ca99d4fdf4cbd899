-- view: Every report that was issued, and what it stands on.
-- report: The report's name.
-- period: The period as it is typed.
-- period_start: The first instant of the period (UTC).
-- period_end: The first instant after the period (UTC).
-- time_zone: The time zone in which the period begins and ends.
-- position: The size of the log that it stands on.
-- root: The root hash of the tree of that log, hexadecimal.
-- program: The version of the program that made it.
-- format: pdf or html.
-- digest: The SHA-256 of its file.
-- issued_by: Who ran it.
-- population: How many items its controls judged.
-- exceptions: How many of them were exceptions.
-- unknown: How many of them could not be judged.
-- evidence_position: The event that tells it.
-- recorded_at: When that was recorded (UTC).
select report, period, period_start, period_end, time_zone, position, root, program, format, digest,
       issued_by, population, exceptions, unknown, evidence_position, recorded_at
from model_report
