-- view: The rules for changing branches, as spans: from when a set of rules was first seen so to when something else was seen. Of the time before the first look at a branch nothing is known, and no row says anything of it. Rules of one pull request alone are not here; `pull_requests` says what was demanded of it.
-- repository: The source's name.
-- branch: The branch, or the forge's pattern of branches.
-- ruleset: Which of the sets of rules that hold at once for one branch.
-- in_force: 1 where it holds; 0 where the forge says that there is no such set, or that it is not enforced.
-- approvals_required: How many approvals it demands; null where that is not told.
-- code_owners_required: 1 where code owners have to approve, else 0; null where that is not told.
-- dismisses_stale: 1 where a push dismisses approvals, else 0; null where that is not told.
-- last_push_approval: 1 where somebody else than who pushed last has to approve, else 0; null where that is not told.
-- pull_request_required: 1 where a change has to come by a pull request, else 0; null where that is not told.
-- admins_included: 1 where it holds for administrators too, else 0; null where that is not told.
-- checks_required: The checks that have to pass, one a line.
-- merge_methods: The ways of merging that it allows, one a line; empty where that is not told.
-- bypassers: Who may pass over it, one a line: logins, team:, app: and role: names; `id 7` in place of a name where the forge tells the id alone.
-- approvers: Whose approvals fulfil it, one a line; empty where anybody's do.
-- mergers: Who may merge, one a line; empty where whoever may write does.
-- valid_from: When it was first seen so (UTC); it may have been so before.
-- valid_until: When something else was seen (UTC); null while nothing else was.
-- last_seen_at: When it was last seen so (UTC): between then and valid_until it may have changed already.
-- forge: Where it was told, as host and full name.
-- evidence_position: The first event that tells it.
-- recorded_at: When that was recorded (UTC).
with looks as (
  -- Of two looks in one second the one of the higher digest, as everywhere.
  select r.*, row_number() over (partition by repository, branch, ruleset, observed_at order by digest desc) as place
  from model_rule r where number = 0
), changes as (
  select l.*, lag(facts) over (partition by repository, branch, ruleset order by observed_at) as before
  from looks l where place = 1
), spans as (
  select c.*, sum(case when before is null or before <> facts then 1 else 0 end)
           over (partition by repository, branch, ruleset order by observed_at) as span
  from changes c
), bounds as (
  select repository, branch, ruleset, span, min(observed_at) as valid_from, max(observed_at) as last_seen_at
  from spans group by repository, branch, ruleset, span
), ends as (
  select b.*, lead(valid_from) over (partition by repository, branch, ruleset order by span) as valid_until
  from bounds b
)
select e.repository, e.branch, e.ruleset,
       case when s.found = 1 and s.enforced <> 0 then 1 else 0 end as in_force,
       nullif(s.approvals_required, -1) as approvals_required,
       nullif(s.code_owners_required, -1) as code_owners_required,
       nullif(s.dismisses_stale, -1) as dismisses_stale,
       nullif(s.last_push_approval, -1) as last_push_approval,
       nullif(s.pull_request_required, -1) as pull_request_required,
       nullif(s.admins_included, -1) as admins_included, s.checks_required, s.merge_methods, s.bypassers,
       s.approvers, s.mergers, e.valid_from, e.valid_until, e.last_seen_at, s.forge, s.evidence_position,
       s.recorded_at
from ends e
join spans s on s.repository = e.repository and s.branch = e.branch and s.ruleset = e.ruleset
  and s.span = e.span and s.observed_at = e.valid_from
