-- view: How far each source and projection is read. Operational: neither log nor projection.
-- feed: The name of the source, sender or projection.
-- kind: source, sender (what is delivered or imported, and has gaps) or projection.
-- attempted_at: When a source was last tried (UTC); empty for others.
-- succeeded_at: When a source was last read without fault (UTC); empty if never.
-- position: For a projection, the next position that it will read; null for others.
-- failure: Why it stands still; empty when it does not.
-- gaps: For a source or sender, how many gaps are recorded.
select source as feed, 'source' as kind, attempted_at, succeeded_at,
       cast(null as bigint) as position, failure,
       (select count(*) from log_event e where e.type = 'collector.gap' and e.source = s.source) as gaps
from source_state s
union all
select source, 'sender', '', '', cast(null as bigint), '', count(*)
from log_event
where type = 'collector.gap' and source not in (select source from source_state)
group by source
union all
select projection, 'projection', '', '', checkpoint, failure, 0 from projection_state
