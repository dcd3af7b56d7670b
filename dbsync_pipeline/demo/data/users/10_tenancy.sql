insert into "Project" ("id", "displayName", "isProductionMode", "createdAt", "updatedAt")
select
    project_id,
    pg_temp.text('project.displayName', min(ordinal), 'Project ' || min(ordinal)),
    min(ordinal) % 2 = 0,
    pg_temp.usual_time('project.createdAt', min(ordinal)),
    pg_temp.usual_time('project.createdAt', min(ordinal))
from demo_tenancy
group by project_id;

insert into "Tenancy" (
    "id", "projectId", "branchId", "organizationId", "hasNoOrganization", "createdAt", "updatedAt"
)
select
    tenancy_id,
    project_id,
    branch_id,
    organization_id,
    case when organization_id is null then 'TRUE'::"BooleanTrue" end,
    pg_temp.usual_time('tenancy.createdAt', ordinal),
    pg_temp.usual_time('tenancy.createdAt', ordinal)
from demo_tenancy;
