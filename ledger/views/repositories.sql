-- view: Repositories and their tracked branches.
-- repository: The source's name.
-- url: Where it is read from, without credentials.
-- branch: A tracked branch.
-- commits: How many of its commits were observed, those of pull request heads included.
-- revisions: How many first-parent steps the branch's current line has.
-- evidence_position: The survey that tells it.
-- recorded_at: When that was recorded (UTC).
select r.repository, r.url, r.branch,
       (select count(*) from model_commit c where c.repository = r.repository) as commits,
       (select count(*) from model_revision v where v.repository = r.repository
         and v.branch = r.branch and v.superseded = 0) as revisions,
       r.evidence_position, r.recorded_at
from model_repository r
