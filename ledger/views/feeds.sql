-- view: How far each source and projection is read. Operational: neither log nor projection.
-- feed: The name of the source, sender or projection.
-- kind: source, sender (what is delivered or imported) or projection.
-- attempted_at: When a source was last tried (UTC); empty for others.
-- succeeded_at: When a source was last read without fault, or something new that a sender told was last recorded (UTC); empty if never, and for projections.
-- position: For a projection, the next position that it will read; null for others.
-- failure: Why it stands still; empty when it does not.
-- gaps: For a source or sender, how many gaps are recorded.
select source as feed, 'source' as kind, attempted_at, succeeded_at,
       cast(null as bigint) as position, failure,
       (select count(*) from log_event e where e.type = 'collector.gap' and e.source = s.source) as gaps
from source_state s
union all
select source, 'sender', '', max(case when type = 'collector.gap' then '' else recorded_at end),
       cast(null as bigint), '', sum(case when type = 'collector.gap' then 1 else 0 end)
from log_event
where type in ('collector.gap', 'pull_request.opened', 'pull_request.pushed', 'pull_request.merged',
               'pull_request.closed', 'review.submitted', 'review.dismissed', 'ref.pushed', 'check.completed',
               'rules.observed', 'team.observed', 'application.created', 'sync.applied', 'cluster.surveyed')
  and source not in (select source from source_state)
group by source
union all
select projection, 'projection', '', '', checkpoint, failure, 0 from projection_state
