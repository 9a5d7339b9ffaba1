"""Who reacts to what: every reaction of the service, on one screen.

inline  in the same transaction: what must never be missing beside the fact      state   later, once, with its delivery row
effect  after commit, repeatable, talks to the outside; repeated by the broker   wake    tells the pool's dispatcher to look
"""

from core.events import (
    AgentFreed,
    AgentPresenceChanged,
    AgentTelephoneChanged,
    CallAgentLeft,
    CallAgentReady,
    CallAnswered,
    CallAttached,
    CallCameBack,
    CallConnectFailed,
    CallEnded,
    CallHoldChanged,
    CallQueued,
    CallRang,
    CallRequeued,
    CallRingEnded,
    CallSentToRecorder,
    CallTaken,
    ConsultChanged,
    ConsultDeclined,
    ConsultEnded,
    ConsultOrphaned,
    CustomerChanged,
    OfferAccepted,
    OfferCreated,
    OfferEnded,
    ProviderCommandIntended,
    QueueHoldChanged,
    RecordingChanged,
    TicketBound,
    TicketChanged,
    TicketWorkAffected,
    VoicemailLeft,
    WorkDeflected,
    WorkQueued,
    WrapUpChanged,
    WrapUpEnded,
    WrapUpStarted,
)
from cti import consult, outbound
from cti import service as cti
from cti.commands import Commands
from infra.outbox import Reaction, effect, inline, state, wake
from realtime import desk_log, notes
from realtime.push import Push
from routing import consult as consulting
from routing import external, recorder, ticket_work
from routing import service as routing
from ticketing import service as ticketing
from ticketing import voicemail


def reactions(*, commands: Commands, push: Push) -> tuple[Reaction, ...]:
    return (
        # a call comes in
        inline("customers.identify+ticketing.bind", CallQueued, ticketing.bind),
        inline("routing.enqueue", TicketBound, routing.enqueue),
        inline("routing.follow_call", CallAttached, routing.on_call_attached),
        wake("routing.dispatch", WorkQueued),
        inline("cti.deflect", WorkDeflected, cti.on_work_deflected),
        inline("routing.sent_to_recorder", CallSentToRecorder, recorder.on_sent_to_recorder),
        inline("ticketing.take_message", VoicemailLeft, voicemail.on_voicemail_left),
        # a telephone system rings and connects by itself
        inline("routing.rang", CallRang, external.on_rang),
        inline("routing.ring_ended", CallRingEnded, external.on_ring_ended),
        inline("routing.taken", CallTaken, external.on_taken),
        # an offer is made, answered, lost
        inline("realtime.log", OfferCreated, desk_log.on_offer_created),
        effect("realtime.push_offer", OfferCreated, push.to_agent),
        inline("cti.connecting", OfferAccepted, cti.on_offer_accepted),
        inline("realtime.log", OfferAccepted, desk_log.on_offer_accepted),
        effect("realtime.push_accepted", OfferAccepted, push.to_agent),
        inline("realtime.log", OfferEnded, desk_log.on_offer_ended),
        effect("realtime.push_ended", OfferEnded, push.to_agent),
        inline("realtime.keep_note", OfferEnded, notes.on_offer_ended),
        wake("routing.dispatch", OfferEnded),
        # telephony
        effect("cti.run_command", ProviderCommandIntended, commands.run),
        inline("routing.answered", CallAnswered, routing.on_call_answered),
        inline("realtime.log", CallAnswered, desk_log.on_call_fact),
        effect("realtime.push_answered", CallAnswered, push.to_agent_of_call),
        inline("routing.connect_failed", CallConnectFailed, routing.on_connect_failed),
        inline("realtime.log", CallAgentLeft, desk_log.on_call_fact),
        inline("cti.dial", CallAgentReady, outbound.on_agent_ready),
        inline("realtime.log", CallAgentReady, desk_log.on_call_fact),
        effect("realtime.push_ready", CallAgentReady, push.to_agent),
        inline("realtime.log", AgentTelephoneChanged, desk_log.on_telephone_changed),
        effect("realtime.push_telephone", AgentTelephoneChanged, push.to_agent),
        inline("realtime.log", CallHoldChanged, desk_log.on_call_fact),
        effect("realtime.push_hold", CallHoldChanged, push.to_agent),
        inline("routing.requeued", CallRequeued, routing.on_call_requeued),
        inline("routing.came_back", CallCameBack, routing.on_call_came_back),
        inline("realtime.log", RecordingChanged, desk_log.on_call_fact),
        effect("realtime.push_recording", RecordingChanged, push.to_agent_of_call),
        # somebody is consulted about a call
        inline("realtime.log", ConsultChanged, desk_log.on_consult_changed),
        effect("realtime.push_consult", ConsultChanged, push.to_consulting),
        state("cti.consult_declined", ConsultDeclined, consult.on_declined),
        inline("routing.consult_ended", ConsultEnded, consulting.on_ended),
        inline("routing.consult_orphaned", ConsultOrphaned, consulting.on_orphaned),
        inline("routing.call_ended", CallEnded, routing.on_call_ended),
        state("ticketing.close_call", CallEnded, ticketing.on_call_ended),
        # after the call
        inline("realtime.log", WrapUpStarted, desk_log.on_wrap_up),
        effect("realtime.push_wrap_up", WrapUpStarted, push.to_agent),
        inline("realtime.log", WrapUpChanged, desk_log.on_wrap_up),
        effect("realtime.push_wrap_up_changed", WrapUpChanged, push.to_agent),
        inline("cti.wrap_up_ended", WrapUpEnded, cti.on_wrap_up_ended),
        inline("realtime.keep_note", WrapUpEnded, notes.on_wrap_up_ended),
        inline("ticketing.after_call", WrapUpEnded, ticketing.on_wrap_up_ended),
        inline("realtime.log", WrapUpEnded, desk_log.on_wrap_up),
        effect("realtime.push_wrapped", WrapUpEnded, push.to_agent),
        wake("routing.dispatch", AgentFreed),
        wake("routing.dispatch", QueueHoldChanged),
        # people and things
        inline("realtime.log", AgentPresenceChanged, desk_log.on_presence_changed),
        effect("realtime.push_presence", AgentPresenceChanged, push.to_agent),
        effect("realtime.push_ticket", TicketChanged, push.ticket_changed),
        effect("realtime.push_customer", CustomerChanged, push.customer_changed),
        inline("routing.ticket_work", TicketChanged, ticket_work.on_ticket_changed),
        state("routing.settle_ticket_work", TicketWorkAffected, ticket_work.on_work_affected),
    )
