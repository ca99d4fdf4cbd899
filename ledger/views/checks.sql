-- view: The checks of commits: the latest run of each name and app, beside each pull request whose head the commit is.
-- repository: The source's name.
-- commit_sha: The commit.
-- name: The check's name.
-- app: What ran it, as the forge names it; empty where it does not tell.
-- conclusion: How its latest run ended: success, failure, neutral, cancelled, timed_out, action_required, skipped, stale, error, else the forge's own word.
-- completed_at: When that ended (UTC); empty where the forge does not tell.
-- started_at: When that began (UTC); empty where the forge does not tell.
-- pull_request: The pull request whose head the commit is, the one that merged or the last one seen; null where there is none.
-- conclusion_at_merge: How the latest run that had ended by the merge of the pull request ended; null where none had, or it is not merged.
-- runs: How many runs there were.
-- run: The forge's own id of the latest run, else when that ended.
-- url: Its page; empty where the forge does not tell.
-- forge: Where it was told, as host and full name.
-- evidence_position: The last event that tells of it.
-- recorded_at: When that was recorded (UTC).
with latest as (
  select c.*, row_number() over (partition by repository, commit_sha, name, app
             order by completed_at desc, started_at desc, run desc) as place,
         count(*) over (partition by repository, commit_sha, name, app) as runs
  from model_check c
)
select c.repository, c.commit_sha, c.name, c.app, c.conclusion, c.completed_at, c.started_at,
       p.number as pull_request,
       (select d.conclusion from model_check d where d.repository = c.repository
          and d.commit_sha = c.commit_sha and d.name = c.name and d.app = c.app
          and d.completed_at <> '' and d.completed_at <= p.merged_at
        order by d.completed_at desc, d.started_at desc, d.run desc limit 1) as conclusion_at_merge,
       c.runs, c.run, c.url, c.forge, c.evidence_position, c.recorded_at
from latest c
left join model_reported_pull_request p on p.repository = c.repository and p.head_sha = c.commit_sha
where c.place = 1
