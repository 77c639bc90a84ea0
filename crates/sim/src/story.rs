//! Events as short lines for snapshots.

use engine::{Event, EventKind};

/// One event, without times and ids that differ between runs.
pub fn line(event: &Event) -> String {
    let name = event.type_name();
    match &event.kind {
        EventKind::ContactArrived {
            contact,
            entry,
            direction,
            ..
        } => format!("{name} {contact} {entry} {direction:?}"),
        EventKind::ContactIdentified {
            contact,
            customers,
            class,
            late,
            ..
        } => format!(
            "{name} {contact} customers={} class={class:?} late={late}",
            customers.len()
        ),
        EventKind::ContactQueued {
            contact,
            queue,
            visit,
            position,
            ..
        } => format!("{name} {contact} {queue} visit={visit} position={position}"),
        EventKind::ContactOffered {
            contact,
            agent,
            offer,
            pop,
            ..
        } => {
            let who = pop
                .as_ref()
                .and_then(|pop| pop.customers.first())
                .map(|customer| customer.name.as_str())
                .unwrap_or("-");
            format!("{name} {contact} agent={agent} offer={offer} pop={who}")
        }
        EventKind::ContactOfferEnded {
            contact,
            agent,
            reason,
            requeued,
            ..
        } => format!("{name} {contact} agent={agent} {reason:?} requeued={requeued}"),
        EventKind::ContactAnswered {
            contact,
            queue,
            agent,
            wait_ms,
            ..
        } => format!("{name} {contact} agent={agent} queue={queue:?} wait={wait_ms}ms"),
        EventKind::ContactAbandoned {
            contact,
            queue,
            stage,
            short,
            ..
        } => format!("{name} {contact} queue={queue:?} {stage:?} short={short}"),
        EventKind::ContactLeftQueue {
            contact,
            queue,
            exit,
            ..
        } => format!("{name} {contact} {queue} {exit:?}"),
        EventKind::ContactClosed {
            contact,
            outcome,
            agent,
            cause,
            ..
        } => format!("{name} {contact} {outcome:?} agent={agent:?} cause={cause}"),
        EventKind::AgentState {
            agent,
            state,
            was,
            reason,
            ..
        } => {
            let reason = reason
                .as_deref()
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default();
            format!("{name} {agent} {was:?} -> {state:?}{reason}")
        }
        EventKind::IvrStep {
            contact,
            flow,
            state,
            verb,
            ..
        } => format!("{name} {contact} {flow}/{state} {verb}"),
        EventKind::ContactSurveyed {
            contact,
            flow,
            agent,
            answers,
            ..
        } => format!("{name} {contact} {flow} agent={agent} {answers:?}"),
        EventKind::ContactHeld { contact, by, .. } => format!("{name} {contact} by={by}"),
        EventKind::ContactResumed {
            contact,
            by,
            held_ms,
            ..
        } => format!("{name} {contact} by={by} after={held_ms}ms"),
        EventKind::ContactTransferred {
            contact, kind, to, ..
        } => format!("{name} {contact} {kind} to={to}"),
        EventKind::ContactJoined { contact, party } | EventKind::ContactLeft { contact, party } => {
            format!("{name} {contact} {party}")
        }
        EventKind::ContactTransferFailed {
            contact,
            to,
            status,
            back,
            ..
        } => format!("{name} {contact} to={to} status={status} back={back}"),
        EventKind::ContactDisposition {
            contact,
            agent,
            code,
            ..
        } => format!("{name} {contact} agent={agent} {code}"),
        EventKind::ContactRecording { contact, state, .. } => format!("{name} {contact} {state}"),
        EventKind::RecordingSaved {
            contact, complete, ..
        } => format!("{name} {contact} complete={complete}"),
        EventKind::RecordingFailed { contact, reason } => format!("{name} {contact} {reason}"),
        EventKind::QueueChanged { queue, change, .. } => format!("{name} {queue} {change}"),
        EventKind::NodeStarted { node, boot, .. } => format!("{name} {node} boot={boot}"),
        EventKind::ConfigApplied { by, .. } => format!("{name} by={by}"),
        EventKind::Audit {
            by,
            action,
            subject,
            ..
        } => format!("{name} by={by} {action} {subject}"),
    }
}
