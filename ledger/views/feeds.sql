-- view: How far each source and projection is read. Operational: neither log nor projection.
-- feed: The source's or projection's name.
-- kind: source or projection.
-- attempted_at: When a source was last tried (UTC); empty for projections.
-- succeeded_at: When a source was last read without fault (UTC); empty if never.
-- position: For a projection, the next position that it will read; null for sources.
-- failure: Why it stands still; empty when it does not.
-- gaps: For a source, how many gaps are recorded.
select source as feed, 'source' as kind, attempted_at, succeeded_at,
       cast(null as bigint) as position, failure,
       (select count(*) from log_event e where e.type = 'collector.gap' and e.source = s.source) as gaps
from source_state s
union all
select projection, 'projection', '', '', checkpoint, failure, 0 from projection_state
