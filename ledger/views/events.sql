-- view: Every event of the log, as recorded.
-- position: Place in the whole log, from 0, without gaps.
-- type: The event's type name.
-- version: The version of the shape of its data.
-- stream: The subject that the event belongs to.
-- key: The natural key, unique in the log.
-- source: The source that told it.
-- actor: Who did it, as the source claims (JSON), null where it names nobody.
-- occurred_at: When it happened, as the source claims (UTC); empty where it claims nothing.
-- recorded_at: When the ledger recorded it (UTC).
-- data: The facts, as JSON text.
select position, type, cast(json_part(leaf, 'version') as integer) as version, stream, key, source,
       json_part(leaf, 'actor') as actor, occurred_at, recorded_at, json_part(leaf, 'data') as data
from log_event
