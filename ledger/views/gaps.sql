-- view: Spans of a source that could not be read, what a webhook lost, and requests that were refused.
-- repository: The source's name.
-- source: The source's name, as in events.
-- since: The last time it was read without fault before, or the first refused request (UTC); empty if never.
-- data: What happened, as JSON text.
-- evidence_position: The event that tells it.
-- recorded_at: When it was recorded (UTC).
select source as repository, source, occurred_at as since, json_part(leaf, 'data') as data,
       position as evidence_position, recorded_at
from log_event where type = 'collector.gap'
