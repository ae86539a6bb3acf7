"""A method for each event type, by `python -m analytics_assets.client.generate`.

Change the catalogue, not this file. Invariant: arguments are the catalogue's fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

from analytics_assets.client.contract import Envelope, given

Taken = TypeVar("Taken")


class EventMethods(Generic[Taken]):
    """What a client can track; ``Taken`` is what tracking returns."""

    def track(
        self, event_type: str, event_data: Mapping[str, Any] | None = None, **keywords: Any
    ) -> Taken:
        raise NotImplementedError

    def track_credit_limit(
        self,
        *,
        credits_used: float | None = None,
        credits_limit: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user ran out of credit.

        Sends ``credit_limit``.
        - ``credits_used``: Credits used in the period.
        - ``credits_limit``: Credits the user had.
        """
        return self.track(
            "credit_limit",
            given(
                {
                    "credits_used": credits_used,
                    "credits_limit": credits_limit,
                }
            ),
            **envelope,
        )

    def track_download(
        self,
        *,
        media_id: str,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user downloaded a result.

        Sends ``download``.
        - ``media_id``: What was downloaded.
        """
        return self.track(
            "download",
            given(
                {
                    "media_id": media_id,
                }
            ),
            **envelope,
        )

    def track_filter_applied(
        self,
        *,
        filter_name: str,
        filter_value: str | None = None,
        results_count: int | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """Somebody narrowed a list down.

        Sends ``filter.applied``.
        - ``filter_name``: The filter, such as category.
        - ``filter_value``: What it was set to. Personal.
        - ``results_count``: Results left.
        """
        return self.track(
            "filter.applied",
            given(
                {
                    "filter_name": filter_name,
                    "filter_value": filter_value,
                    "results_count": results_count,
                }
            ),
            **envelope,
        )

    def track_github_synced(
        self,
        *,
        repositories_count: int | None = None,
        commits_count: int | None = None,
        languages: Sequence[str] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user's repositories were read in; their names are not part of the event.

        Sends ``github.synced``.
        - ``repositories_count``: Repositories read.
        - ``commits_count``: Commits read.
        - ``languages``: Languages found.
        """
        return self.track(
            "github.synced",
            given(
                {
                    "repositories_count": repositories_count,
                    "commits_count": commits_count,
                    "languages": languages,
                }
            ),
            **envelope,
        )

    def track_message_sent(
        self,
        *,
        message_id: str | None = None,
        conversation_id: str | None = None,
        recipient_user_id: str | None = None,
        message_length: int | None = None,
        has_attachment: bool | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user sent another a message; its text is not part of the event.

        Sends ``message.sent``.
        - ``message_id``: The message. Personal.
        - ``conversation_id``: The thread it belongs to. Personal.
        - ``recipient_user_id``: Who gets it. Personal.
        - ``message_length``: Characters of its text.
        - ``has_attachment``: Whether a file came with it.
        """
        return self.track(
            "message.sent",
            given(
                {
                    "message_id": message_id,
                    "conversation_id": conversation_id,
                    "recipient_user_id": recipient_user_id,
                    "message_length": message_length,
                    "has_attachment": has_attachment,
                }
            ),
            **envelope,
        )

    def track_mfa_disabled(
        self,
        *,
        method: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user switched the second factor off.

        Sends ``mfa.disabled``.
        - ``method``: Kind of factor, such as totp.
        """
        return self.track(
            "mfa.disabled",
            given(
                {
                    "method": method,
                }
            ),
            **envelope,
        )

    def track_mfa_enabled(
        self,
        *,
        method: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user switched the second factor on.

        Sends ``mfa.enabled``.
        - ``method``: Kind of factor, such as totp.
        """
        return self.track(
            "mfa.enabled",
            given(
                {
                    "method": method,
                }
            ),
            **envelope,
        )

    def track_milestone_approved(
        self,
        *,
        project_id: str,
        amount: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """The client approved the work of a milestone.

        Sends ``milestone.approved``.
        - ``project_id``: The project.
        - ``amount``: What is due for it.
        """
        return self.track(
            "milestone.approved",
            given(
                {
                    "project_id": project_id,
                    "amount": amount,
                }
            ),
            **envelope,
        )

    def track_milestone_completed(
        self,
        *,
        project_id: str,
        amount: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A milestone was finished.

        Sends ``milestone.completed``.
        - ``project_id``: The project.
        - ``amount``: What is due for it.
        """
        return self.track(
            "milestone.completed",
            given(
                {
                    "project_id": project_id,
                    "amount": amount,
                }
            ),
            **envelope,
        )

    def track_milestone_created(
        self,
        *,
        project_id: str,
        amount: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A part of a project was agreed.

        Sends ``milestone.created``.
        - ``project_id``: The project.
        - ``amount``: What is due for it.
        """
        return self.track(
            "milestone.created",
            given(
                {
                    "project_id": project_id,
                    "amount": amount,
                }
            ),
            **envelope,
        )

    def track_notification_clicked(
        self,
        *,
        notification_id: str | None = None,
        notification_type: str | None = None,
        channel: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user opened a notification.

        Sends ``notification.clicked``.
        - ``notification_id``: The notification.
        - ``notification_type``: What it was about, such as proposal.
        - ``channel``: How it came, such as email or in_app.
        """
        return self.track(
            "notification.clicked",
            given(
                {
                    "notification_id": notification_id,
                    "notification_type": notification_type,
                    "channel": channel,
                }
            ),
            **envelope,
        )

    def track_package_generated(
        self,
        *,
        template: str,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A package was generated from a profile.

        Sends ``package_generated``.
        - ``template``: Template it was made from.
        """
        return self.track(
            "package_generated",
            given(
                {
                    "template": template,
                }
            ),
            **envelope,
        )

    def track_password_changed(
        self,
        *,
        forced: bool | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user got a new password.

        Sends ``password.changed``.
        - ``forced``: Whether the platform asked for the change.
        """
        return self.track(
            "password.changed",
            given(
                {
                    "forced": forced,
                }
            ),
            **envelope,
        )

    def track_payment_completed(
        self,
        *,
        amount: float,
        currency: str,
        method: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A payment went through.

        Sends ``payment.completed``.
        - ``amount``: Amount in the currency.
        - ``currency``: ISO 4217 code, such as EUR.
        - ``method``: Means of payment, such as card.
        """
        return self.track(
            "payment.completed",
            given(
                {
                    "amount": amount,
                    "currency": currency,
                    "method": method,
                }
            ),
            **envelope,
        )

    def track_payment_failed(
        self,
        *,
        amount: float,
        currency: str,
        method: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A payment was refused or broke off.

        Sends ``payment.failed``.
        - ``amount``: Amount in the currency.
        - ``currency``: ISO 4217 code, such as EUR.
        - ``method``: Means of payment, such as card.
        """
        return self.track(
            "payment.failed",
            given(
                {
                    "amount": amount,
                    "currency": currency,
                    "method": method,
                }
            ),
            **envelope,
        )

    def track_payment_initiated(
        self,
        *,
        amount: float,
        currency: str,
        method: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A payment was begun.

        Sends ``payment.initiated``.
        - ``amount``: Amount in the currency.
        - ``currency``: ISO 4217 code, such as EUR.
        - ``method``: Means of payment, such as card.
        """
        return self.track(
            "payment.initiated",
            given(
                {
                    "amount": amount,
                    "currency": currency,
                    "method": method,
                }
            ),
            **envelope,
        )

    def track_portfolio_created(
        self,
        *,
        title: str | None = None,
        items_count: int | None = None,
        skills: Sequence[str] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user put work on show.

        Sends ``portfolio.created``.
        - ``title``: Title as the user wrote it. Personal.
        - ``items_count``: Pieces of work in it.
        - ``skills``: Skills it shows.
        """
        return self.track(
            "portfolio.created",
            given(
                {
                    "title": title,
                    "items_count": items_count,
                    "skills": skills,
                }
            ),
            **envelope,
        )

    def track_portfolio_updated(
        self,
        *,
        title: str | None = None,
        items_count: int | None = None,
        skills: Sequence[str] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A portfolio was changed.

        Sends ``portfolio.updated``.
        - ``title``: Title as the user wrote it. Personal.
        - ``items_count``: Pieces of work in it.
        - ``skills``: Skills it shows.
        """
        return self.track(
            "portfolio.updated",
            given(
                {
                    "title": title,
                    "items_count": items_count,
                    "skills": skills,
                }
            ),
            **envelope,
        )

    def track_profile_updated(
        self,
        *,
        fields_changed: Sequence[str] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user changed the own profile; the new values are not part of the event.

        Sends ``profile.updated``.
        - ``fields_changed``: Names of the changed parts.
        """
        return self.track(
            "profile.updated",
            given(
                {
                    "fields_changed": fields_changed,
                }
            ),
            **envelope,
        )

    def track_profile_viewed(
        self,
        *,
        profile_user_id: str | None = None,
        referrer: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """Somebody looked at a user's profile.

        Sends ``profile.viewed``.
        - ``profile_user_id``: Whose profile it is. Personal.
        - ``referrer``: Where the viewer came from; addresses may name people. Personal.
        """
        return self.track(
            "profile.viewed",
            given(
                {
                    "profile_user_id": profile_user_id,
                    "referrer": referrer,
                }
            ),
            **envelope,
        )

    def track_profile_analyzed(
        self,
        *,
        archetype: str,
        ai_percentage: float,
        activity_score: float | None = None,
        collab_score: float | None = None,
        diversity_score: float | None = None,
        ai_savviness: float | None = None,
        languages: Sequence[str] | None = None,
        tools: Sequence[str] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A developer's work was analysed.

        Sends ``profile_analyzed``.
        - ``archetype``: Kind of developer, such as builder.
        - ``ai_percentage``: Share of work done with AI, in percent.
        - ``activity_score``: Activity, 0 to 100.
        - ``collab_score``: Collaboration, 0 to 100.
        - ``diversity_score``: Breadth of work, 0 to 100.
        - ``ai_savviness``: Skill with AI tools, 0 to 100.
        - ``languages``: Programming languages, most used first.
        - ``tools``: AI tools found, most used first.
        """
        return self.track(
            "profile_analyzed",
            given(
                {
                    "archetype": archetype,
                    "ai_percentage": ai_percentage,
                    "activity_score": activity_score,
                    "collab_score": collab_score,
                    "diversity_score": diversity_score,
                    "ai_savviness": ai_savviness,
                    "languages": languages,
                    "tools": tools,
                }
            ),
            **envelope,
        )

    def track_project_created(
        self,
        *,
        title: str,
        budget: float | None = None,
        project_type: str | None = None,
        is_featured: bool | None = None,
        skills: Sequence[str] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A client opened a project.

        Sends ``project.created``.
        - ``title``: Title as the client wrote it. Personal.
        - ``budget``: Budget in the project's currency.
        - ``project_type``: Kind of work or contract, such as fixed_price.
        - ``is_featured``: Whether the project is shown first.
        - ``skills``: Skills asked for.
        """
        return self.track(
            "project.created",
            given(
                {
                    "title": title,
                    "budget": budget,
                    "project_type": project_type,
                    "is_featured": is_featured,
                    "skills": skills,
                }
            ),
            **envelope,
        )

    def track_project_deleted(
        self,
        *,
        title: str | None = None,
        budget: float | None = None,
        project_type: str | None = None,
        is_featured: bool | None = None,
        skills: Sequence[str] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A project was removed.

        Sends ``project.deleted``.
        - ``title``: Title at the time. Personal.
        - ``budget``: Budget at the time.
        - ``project_type``: Kind of work or contract, such as fixed_price.
        - ``is_featured``: Whether the project was shown first.
        - ``skills``: Skills asked for.
        """
        return self.track(
            "project.deleted",
            given(
                {
                    "title": title,
                    "budget": budget,
                    "project_type": project_type,
                    "is_featured": is_featured,
                    "skills": skills,
                }
            ),
            **envelope,
        )

    def track_project_updated(
        self,
        *,
        title: str | None = None,
        budget: float | None = None,
        project_type: str | None = None,
        is_featured: bool | None = None,
        skills: Sequence[str] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A client changed a project; only the changed fields need to be there.

        Sends ``project.updated``.
        - ``title``: Title as the client wrote it. Personal.
        - ``budget``: Budget in the project's currency.
        - ``project_type``: Kind of work or contract, such as fixed_price.
        - ``is_featured``: Whether the project is shown first.
        - ``skills``: Skills asked for.
        """
        return self.track(
            "project.updated",
            given(
                {
                    "title": title,
                    "budget": budget,
                    "project_type": project_type,
                    "is_featured": is_featured,
                    "skills": skills,
                }
            ),
            **envelope,
        )

    def track_project_viewed(
        self,
        *,
        project_id: str,
        referrer: str | None = None,
        duration_seconds: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """Somebody looked at a project.

        Sends ``project.viewed``.
        - ``project_id``: The project.
        - ``referrer``: Where the viewer came from; addresses may name people. Personal.
        - ``duration_seconds``: How long it was open.
        """
        return self.track(
            "project.viewed",
            given(
                {
                    "project_id": project_id,
                    "referrer": referrer,
                    "duration_seconds": duration_seconds,
                }
            ),
            **envelope,
        )

    def track_proposal_accepted(
        self,
        *,
        project_id: str,
        bid_amount: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """The client accepted an offer.

        Sends ``proposal.accepted``.
        - ``project_id``: The project.
        - ``bid_amount``: Price agreed.
        """
        return self.track(
            "proposal.accepted",
            given(
                {
                    "project_id": project_id,
                    "bid_amount": bid_amount,
                }
            ),
            **envelope,
        )

    def track_proposal_rejected(
        self,
        *,
        project_id: str,
        bid_amount: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """The client declined an offer.

        Sends ``proposal.rejected``.
        - ``project_id``: The project.
        - ``bid_amount``: Price offered.
        """
        return self.track(
            "proposal.rejected",
            given(
                {
                    "project_id": project_id,
                    "bid_amount": bid_amount,
                }
            ),
            **envelope,
        )

    def track_proposal_submitted(
        self,
        *,
        project_id: str,
        bid_amount: float,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A freelancer made an offer for a project.

        Sends ``proposal.submitted``.
        - ``project_id``: The project.
        - ``bid_amount``: Price offered.
        """
        return self.track(
            "proposal.submitted",
            given(
                {
                    "project_id": project_id,
                    "bid_amount": bid_amount,
                }
            ),
            **envelope,
        )

    def track_review_posted(
        self,
        *,
        reviewee_user_id: str,
        rating_overall: float,
        reviewee_type: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user reviewed another.

        Sends ``review.posted``.
        - ``reviewee_user_id``: Who is reviewed. Personal.
        - ``rating_overall``: Rating, 0 to 5.
        - ``reviewee_type``: Role of the reviewed user, such as freelancer.
        """
        return self.track(
            "review.posted",
            given(
                {
                    "reviewee_user_id": reviewee_user_id,
                    "rating_overall": rating_overall,
                    "reviewee_type": reviewee_type,
                }
            ),
            **envelope,
        )

    def track_review_updated(
        self,
        *,
        reviewee_user_id: str,
        reviewee_type: str | None = None,
        rating_overall: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A review was changed.

        Sends ``review.updated``.
        - ``reviewee_user_id``: Who is reviewed. Personal.
        - ``reviewee_type``: Role of the reviewed user, such as freelancer.
        - ``rating_overall``: Rating, 0 to 5.
        """
        return self.track(
            "review.updated",
            given(
                {
                    "reviewee_user_id": reviewee_user_id,
                    "reviewee_type": reviewee_type,
                    "rating_overall": rating_overall,
                }
            ),
            **envelope,
        )

    def track_search_performed(
        self,
        *,
        query: str,
        filters: Mapping[str, Any] | None = None,
        results_count: int | None = None,
        search_time_ms: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """Somebody searched the marketplace.

        Sends ``search.performed``.
        - ``query``: The text typed in. Personal.
        - ``filters``: Filters set for the search. Personal.
        - ``results_count``: Results found.
        - ``search_time_ms``: Time the search took in milliseconds.
        """
        return self.track(
            "search.performed",
            given(
                {
                    "query": query,
                    "filters": filters,
                    "results_count": results_count,
                    "search_time_ms": search_time_ms,
                }
            ),
            **envelope,
        )

    def track_registry_search(
        self,
        *,
        query: str,
        results: int | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """Somebody searched the registry.

        Sends ``search_performed``.
        - ``query``: The text typed in. Personal.
        - ``results``: Servers found.
        """
        return self.track(
            "search_performed",
            given(
                {
                    "query": query,
                    "results": results,
                }
            ),
            **envelope,
        )

    def track_server_installed(
        self,
        *,
        server_id: str,
        version: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """Somebody installed a server.

        Sends ``server_installed``.
        - ``server_id``: The server.
        - ``version``: Version installed.
        """
        return self.track(
            "server_installed",
            given(
                {
                    "server_id": server_id,
                    "version": version,
                }
            ),
            **envelope,
        )

    def track_session_ended(
        self,
        *,
        duration_seconds: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A visit ended.

        Sends ``session.ended``.
        - ``duration_seconds``: How long it lasted.
        """
        return self.track(
            "session.ended",
            given(
                {
                    "duration_seconds": duration_seconds,
                }
            ),
            **envelope,
        )

    def track_session_started(
        self,
        *,
        entry_page: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A visit began.

        Sends ``session.started``.
        - ``entry_page``: First page seen; its path may name a person. Personal.
        """
        return self.track(
            "session.started",
            given(
                {
                    "entry_page": entry_page,
                }
            ),
            **envelope,
        )

    def track_share(
        self,
        *,
        media_id: str | None = None,
        channel: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user shared a result.

        Sends ``share``.
        - ``media_id``: What was shared.
        - ``channel``: Where to, such as link or email.
        """
        return self.track(
            "share",
            given(
                {
                    "media_id": media_id,
                    "channel": channel,
                }
            ),
            **envelope,
        )

    def track_user_login(
        self,
        *,
        provider: str | None = None,
        mfa_used: bool | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user signed in.

        Sends ``user.login``.
        - ``provider``: Identity provider, such as github or password.
        - ``mfa_used``: Whether a second factor was asked for.
        """
        return self.track(
            "user.login",
            given(
                {
                    "provider": provider,
                    "mfa_used": mfa_used,
                }
            ),
            **envelope,
        )

    def track_user_logout(
        self,
        *,
        session_seconds: float | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """A user signed out.

        Sends ``user.logout``.
        - ``session_seconds``: Length of the session that ended.
        """
        return self.track(
            "user.logout",
            given(
                {
                    "session_seconds": session_seconds,
                }
            ),
            **envelope,
        )

    def track_user_registered(
        self,
        *,
        provider: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Taken:
        """Somebody opened an account.

        Sends ``user.registered``.
        - ``provider``: Identity provider, such as github or password.
        """
        return self.track(
            "user.registered",
            given(
                {
                    "provider": provider,
                }
            ),
            **envelope,
        )
