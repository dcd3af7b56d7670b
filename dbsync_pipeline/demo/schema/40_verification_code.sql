-- One-time codes of every kind, team invitations among them. Addressed by project and branch; no foreign keys.

create type "VerificationCodeType" as enum (
    'ONE_TIME_PASSWORD',
    'CONTACT_CHANNEL_VERIFICATION',
    'PASSWORD_RESET',
    'TEAM_INVITATION',
    'MFA_ATTEMPT',
    'PASSKEY_REGISTRATION_CHALLENGE',
    'PASSKEY_AUTHENTICATION_CHALLENGE',
    'INTEGRATION_PROJECT_TRANSFER',
    'PURCHASE_URL'
);

create table "VerificationCode" (
    "projectId" text not null,
    "branchId" text not null,
    "id" uuid not null,
    "type" "VerificationCodeType" not null,
    "code" text not null,
    "data" jsonb not null,
    "method" jsonb not null default 'null'::jsonb,
    "attemptCount" integer not null default 0,
    "expiresAt" timestamp(3) not null,
    "usedAt" timestamp(3),
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "VerificationCode_pkey" primary key ("projectId", "branchId", "id")
);

create unique index "VerificationCode_projectId_branchId_code_key"
    on "VerificationCode" ("projectId", "branchId", "code");
create index "VerificationCode_data_idx" on "VerificationCode" using gin ("data" jsonb_path_ops);
