-- view: The state of every object of a cluster: what runs there, and what applications declare for it, held against each other.
-- cluster: The cluster, as the operator calls it.
-- api_group: The API group; empty for the core group.
-- kind: The kind.
-- namespace: The namespace; empty for what has none.
-- name: The name.
-- observed_at: When it was first seen as it is now, or when a sync made it so again that nobody had seen otherwise (UTC); empty where it is not there.
-- application: The application that it belongs to; empty where none is known.
-- repository: The repository that declares it; empty where none is known.
-- state: in_sync, pending (Git is ahead), rolled_back (as a sync back to an older revision made it), drifted, absent (declared and not there), extra (there, and nobody declares it), derived (made by a controller), not_observed (declared, and nobody looked), unknown (the reason says why).
-- approval: approved, waived, unknown, unapproved or unexplained: the worst over the changes that set its fields; unexplained where something of it is not from Git. Never better than unknown where the state is unknown. Of a derived object that of the object in made_of. Null where there is nothing to approve.
-- made_of: The declared object that a derived object was made of, as Kind/name; empty for all others, and where the cluster brings it by itself.
-- grade: How well the state is known: reported, inferred or unlinked.
-- synced_commit_sha: The revision that was applied last; empty where none is known.
-- changed_commit_sha: The revision that last changed what is declared of it; empty where none is known.
-- pull_request: The pull request of that revision's best link, null where none is linked.
-- reason: Why it is in this state.
-- branch: The tracked branch that declares it; empty where none is known.
-- path: The file that declares it; empty where none is known.
-- seen_at: When somebody last looked for it (UTC); empty if nobody ever did.
-- synced_at: When that revision was applied (UTC); empty where it is not known.
-- differences: What differs from what is declared, as JSON text: field, action (changed, missing, undeclared), desired, live, and why it may be no difference.
-- excuses: Differences that a controller or a rule of the application explains, likewise; defaults of the API are left out.
-- manager: The tool that last changed a field of it, as the cluster claims; a tool, not a person.
-- changed_at: When that was, as the cluster claims (UTC).
-- application_namespace: The namespace that the application itself lives in.
-- controller_cluster: The cluster that the application itself lives in.
-- evidence_position: The event that tells of its present content, or of its application where it is not there.
-- recorded_at: When that was recorded (UTC).
with told as (
  select o.object, max(case when o.commit_sha = '' then 4
           else case v.approval when 'approved' then 0 when 'waived' then 1 when 'unapproved' then 3
             else 2 end end) as worst
  from model_live_origin o
  left join revisions v on v.repository = o.repository and v.branch = o.branch
    and v.commit_sha = o.commit_sha
  group by o.object
)
select l.cluster, l.api_group, l.kind, l.namespace, l.name, l.observed_at, l.application, l.repository,
       l.state,
       case when d.state in ('derived', 'not_observed') then null
            when d.state in ('drifted', 'absent', 'extra') then 'unexplained'
            when d.state = 'unknown' and t.worst < 2 then 'unknown'
            else case t.worst when 0 then 'approved' when 1 then 'waived' when 2 then 'unknown'
              when 3 then 'unapproved' when 4 then 'unexplained' else 'unknown' end end as approval,
       case when l.maker = '' then '' else coalesce(d.kind || '/' || d.name, '') end as made_of, l.grade, l.synced_commit_sha, l.changed_commit_sha,
       (select x.number from model_link x where x.repository = l.repository
          and x.commit_sha = l.changed_commit_sha and x.best = 1) as pull_request,
       l.reason, l.branch, l.path,
       coalesce((select max(z.seen_at) from (
           select l.observed_at as seen_at
           union all select s.seen_at from model_live_seen s where s.cluster = l.cluster
             and s.api_group = l.api_group and s.kind = l.kind and s.namespace = l.namespace
             and s.name = l.name
           union all select c.seen_at from model_live_scope c where c.cluster = l.cluster
             and c.api_group = l.api_group and c.kind = l.kind
             and c.namespace in ('', l.namespace)) z), '') as seen_at,
       l.synced_at, l.differences, l.excuses, l.manager, l.changed_at,
       l.app_namespace as application_namespace, l.app_cluster as controller_cluster,
       l.evidence_position, l.recorded_at
from model_live_state l
left join model_live_state d on d.object = case when l.maker = '' then l.object else l.maker end
left join told t on t.object = d.object
