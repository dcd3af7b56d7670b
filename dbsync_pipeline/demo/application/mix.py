"""The application as a whole: all its transactions, and how often each of them happens."""

import random
from collections.abc import Callable, Mapping

from dbsync_pipeline.demo.application.accounts import AccountTransactions
from dbsync_pipeline.demo.application.mail import MailTransactions
from dbsync_pipeline.demo.application.permissions import PermissionTransactions
from dbsync_pipeline.demo.application.replays import ReplayTransactions
from dbsync_pipeline.demo.application.teams import TeamTransactions
from dbsync_pipeline.demo.application.tenancies import TenancyTransactions
from dbsync_pipeline.demo.application.users import UserTransactions


class Application(
    UserTransactions,
    AccountTransactions,
    TeamTransactions,
    PermissionTransactions,
    MailTransactions,
    ReplayTransactions,
    TenancyTransactions,
):
    """Every transaction of the demo application, one method each."""

    def random_transaction(self, rng: random.Random) -> str:
        """Do one transaction that finds something to write, chosen by `WEIGHTS`, and return its method's name.

        In a database without a tenancy that is the creation of the first one.
        """
        if not self.tenancies:
            self.create_project(rng)
            return self.create_project.__name__
        while True:
            (transaction,) = rng.choices(_TRANSACTIONS, _WEIGHTS)
            if transaction(self, rng):
                return transaction.__name__


# Deletions balance what is added, so that a database under traffic keeps its size.
WEIGHTS: Mapping[Callable[[Application, random.Random], bool], float] = {
    Application.refresh_session: 200,
    Application.touch_activity: 80,
    Application.sign_in: 60,
    Application.sign_out: 45,
    Application.sign_out_everywhere: 5,
    Application.sign_up: 40,
    Application.delete_user: 25,
    Application.recreate_user: 3,
    Application.recreate_user_later: 3,
    Application.move_user: 5,
    Application.upgrade_anonymous_user: 10,
    Application.update_profile: 70,
    Application.restrict_user: 10,
    Application.add_channel: 25,
    Application.verify_channel: 30,
    Application.change_address: 10,
    Application.promote_channel: 20,
    Application.remove_channel: 20,
    Application.import_users: 0.5,
    Application.rename_users: 0.5,
    Application.purge_users: 0.5,
    Application.link_account: 20,
    Application.unlink_account: 8,
    Application.unbind_account: 8,
    Application.bind_account: 4,
    Application.rename_account: 8,
    Application.recreate_account: 4,
    Application.create_team: 10,
    Application.rename_team: 15,
    Application.update_team: 10,
    Application.delete_team: 4,
    Application.delete_team_and_invitations: 4,
    Application.recreate_team: 1,
    Application.join_team: 25,
    Application.update_member: 20,
    Application.leave_team: 8,
    Application.rejoin_team: 5,
    Application.rejoin_team_later: 5,
    Application.invite: 20,
    Application.issue_code: 10,
    Application.use_code: 15,
    Application.redirect_invitation: 3,
    Application.revoke_code: 15,
    Application.grant_team_permission: 20,
    Application.revoke_team_permission: 8,
    Application.regrant_team_permission: 5,
    Application.change_team_permission: 5,
    Application.rename_permission: 0.2,
    Application.grant_project_permission: 20,
    Application.revoke_project_permission: 12,
    Application.regrant_project_permission: 5,
    Application.change_project_permission: 5,
    Application.set_preference: 20,
    Application.replace_preference: 4,
    Application.write_email: 20,
    Application.advance_email: 110,
    Application.answer_email: 20,
    Application.pause_email: 2,
    Application.skip_email: 3,
    Application.delete_email: 15,
    Application.start_replay: 10,
    Application.upload_chunk: 40,
    Application.store_chunk: 5,
    Application.delete_chunk: 2,
    Application.delete_replay: 8,
    Application.create_project: 0.2,
    Application.create_sibling_tenancy: 0.1,
    Application.delete_tenancy: 0.1,
    Application.delete_project: 0.2,
}

_TRANSACTIONS, _WEIGHTS = tuple(WEIGHTS), tuple(WEIGHTS.values())
