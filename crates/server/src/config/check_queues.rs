//! What queues promise their callers: steps, longest wait, overflow, hours. Compiled and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ivr::Severity;

use super::check::Check;
use super::compile::levels;
use super::flows::FlowSet;
use super::form::{Absence, Choice, Queue, Role, Step};
use super::read::QUEUES;
use super::value::{Level, Placed};
use super::walk::near;

type Name = Arc<str>;
type Skills = BTreeMap<Name, u8>;

pub(super) fn acd_queue(name: &Name, queue: &Queue) -> acd::Queue {
    acd::Queue {
        name: name.clone(),
        skills: levels(&queue.skills),
        ring: queue.ring.0,
        wrap_up: queue.wrap_up.0,
        priority: queue.priority,
        class_credit: queue
            .class_credit
            .iter()
            .map(|(class, credit)| (class.as_str().into(), *credit))
            .collect(),
        max_waiting: queue.max_waiting as usize,
        steps: queue.step.iter().map(|step| acd_step(step)).collect(),
        choice: match queue.choice {
            Choice::LongestIdle => acd::Choice::LongestIdle,
            Choice::LeastOccupied => acd::Choice::LeastOccupied,
            Choice::MostSkilled => acd::Choice::MostSkilled,
            Choice::RoundRobin => acd::Choice::RoundRobin,
        },
        max_wait: queue.max_wait.as_ref().map(|most| most.0),
        empty: queue.empty.iter().map(|cause| absence(*cause)).collect(),
    }
}

fn absence(cause: Absence) -> acd::Absence {
    match cause {
        Absence::NoSkill => acd::Absence::NoSkill,
        Absence::NobodyLoggedIn => acd::Absence::NobodyLoggedIn,
        Absence::AllOnBreak => acd::Absence::AllOnBreak,
    }
}

fn acd_step(step: &Step) -> acd::Step {
    let dropped = step.drop.iter().map(|skill| (skill.as_str().into(), 0));
    acd::Step {
        after: step.after.0,
        skills: step.skills.as_ref().map(levels),
        at_most: levels(&step.lower).into_iter().chain(dropped).collect(),
        anyone: step.anyone,
    }
}

/// What a queue itself requires after a step.
fn relaxed(before: &Skills, step: &Step) -> Skills {
    if step.anyone {
        return Skills::new();
    }
    let compiled = acd_step(step);
    let mut after = compiled.skills.unwrap_or_else(|| before.clone());
    for (skill, most) in &compiled.at_most {
        if let Some(level) = after.get_mut(skill) {
            *level = (*level).min(*most);
        }
    }
    after.retain(|_, level| *level > 0);
    after
}

impl Check<'_> {
    /// When a queue takes contacts.
    pub(super) fn hours(
        &mut self,
        queue: &Queue,
        of_centre: &jiff::tz::TimeZone,
    ) -> Option<Arc<ivr::Calendar>> {
        if queue.hours.is_empty() && queue.holidays.is_empty() {
            return None;
        }
        let mut zone = of_centre.clone();
        if let Some(name) = &queue.time_zone {
            match ivr::Calendar::zone(name) {
                Some(own) => zone = own,
                None => self.error(
                    QUEUES,
                    &name.span,
                    format!("there is no time zone \"{}\"", name.value),
                    Some("an IANA name, e.g. \"Asia/Shanghai\""),
                ),
            }
        }
        let mut calendar = ivr::Calendar::new(zone);
        if queue.hours.is_empty() {
            calendar.open("Mon-Sun 00:00-24:00");
        }
        for hours in &queue.hours {
            if calendar.open(hours).is_none() {
                self.error(
                    QUEUES,
                    &hours.span,
                    format!("\"{}\" are no hours", hours.value),
                    Some("e.g. \"Mon-Fri 09:00-18:00\""),
                );
            }
        }
        for days in &queue.holidays {
            if calendar.close(days).is_none() {
                self.error(
                    QUEUES,
                    &days.span,
                    format!("\"{}\" is no day", days.value),
                    Some("e.g. \"2026-10-01\" or \"2026-10-01..2026-10-07\""),
                );
            }
        }
        Some(Arc::new(calendar))
    }

    /// What needs agents, flows and the other queues to be judged.
    pub(super) fn queue_rules(&mut self, flows: &FlowSet) {
        let forms = self.forms;
        for queue in &forms.queues.queue {
            self.steps(queue);
            self.reachable(queue);
            self.overflow(queue, flows);
            self.closing(queue);
            if let Some(most) = &queue.max_wait
                && most.0 < Duration::from_secs(1)
            {
                self.error(
                    QUEUES,
                    &most.span,
                    format!("nobody can wait in queue `{}`", queue.name.value),
                    Some("e.g. \"10m\""),
                );
            }
        }
        self.circles();
    }

    /// Each step comes later than the one before, and leaves out fewer.
    fn steps(&mut self, queue: &Queue) {
        let mut after = Duration::ZERO;
        let mut skills = levels(&queue.skills);
        for step in &queue.step {
            if step.after.0 <= after {
                let message = "a step comes after the one before it".to_owned();
                let hint = Some(
                    "steps are in the order in which they come, the first after more than \"0s\"",
                );
                self.error(QUEUES, &step.after.span, message, hint);
            }
            after = step.after.0;
            if step.skills.is_none()
                && step.drop.is_empty()
                && step.lower.is_empty()
                && !step.anyone
            {
                self.error(
                    QUEUES,
                    &step.span,
                    "this step relaxes nothing",
                    Some("`skills = {…}`, `drop = [\"…\"]`, `lower = {…}` or `anyone = true`"),
                );
            }
            if let Some(harder) = step.skills.as_ref().and_then(|own| harder(&skills, own)) {
                let message = format!(
                    "this step requires more of `{}` than the one before it",
                    harder.0
                );
                let hint = Some("a step widens: it cannot leave out whom an earlier one let in");
                self.error(QUEUES, &harder.1.span, message, hint);
            }
            self.known_skills(queue, step);
            skills = relaxed(&skills, step);
        }
    }

    /// Skills that a step drops or lowers, and that nobody has or requires.
    fn known_skills(&mut self, queue: &Queue, step: &Step) {
        let agents = self.forms.agents.agent.iter();
        let known: BTreeSet<&str> = agents
            .flat_map(|agent| agent.skills.keys())
            .chain(queue.skills.keys())
            .map(String::as_str)
            .collect();
        let known: Vec<&str> = known.into_iter().collect();
        let lowered = step.lower.iter().map(|(skill, level)| (skill, &level.span));
        let dropped = step.drop.iter().map(|skill| (&skill.value, &skill.span));
        for (skill, span) in dropped.chain(lowered) {
            if !known.contains(&skill.as_str()) {
                let message = format!("nobody has or requires the skill `{skill}`");
                let hint = near(skill, &known).map(|near| format!("did you mean `{near}`?"));
                self.tell(QUEUES, Severity::Warning, span, message, hint);
            }
        }
    }

    /// Warns of a queue whom no single agent could serve, not even at its last step.
    fn reachable(&mut self, queue: &Queue) {
        let first = levels(&queue.skills);
        let last = queue
            .step
            .iter()
            .fold(first, |skills, step| relaxed(&skills, step));
        let serves = |skills: &BTreeMap<String, Placed<Level>>| {
            let has = |skill: &Name| skills.get(&**skill).map_or(0, |level| level.0);
            last.iter().all(|(skill, level)| has(skill) >= *level)
        };
        let mut agents = self.forms.agents.agent.iter();
        let anybody = agents.any(|agent| agent.role == Role::Agent && serves(&agent.skills));
        // One skill that nobody has is told of by itself.
        let each = last.iter().all(|(skill, level)| {
            let mut agents = self.forms.agents.agent.iter();
            agents.any(|agent| {
                agent
                    .skills
                    .get(&**skill)
                    .is_some_and(|one| one.0 >= *level)
            })
        });
        if !anybody && each && !last.is_empty() {
            let message = format!(
                "no agent has all that queue `{}` requires, not even at its last step",
                queue.name.value
            );
            self.warning(
                QUEUES,
                &queue.name.span,
                message,
                Some("lower a level, or add a `[[queue.step]]` that drops a skill"),
            );
        }
    }

    fn overflow(&mut self, queue: &Queue, flows: &FlowSet) {
        let Some(target) = &queue.overflow else {
            return;
        };
        let (kind, name) = target.split_once(':').unwrap_or(("number", target));
        let forms = self.forms;
        let known: Vec<&str> = match kind {
            "queue" => forms
                .queues
                .queue
                .iter()
                .map(|queue| queue.name.as_str())
                .collect(),
            "flow" => flows.names.iter().map(|name| &**name).collect(),
            "agent" => forms
                .agents
                .agent
                .iter()
                .map(|agent| agent.id.as_str())
                .collect(),
            _ => self.routes.keys().map(|number| &**number).collect(),
        };
        if known.contains(&name) {
            return;
        }
        // A number outside is looked up when it is called.
        if kind == "number" && name.starts_with('+') {
            return;
        }
        let message = format!("there is no {kind} `{name}`");
        let hint = near(name, &known).map(|near| format!("did you mean `{near}`?"));
        let hint = hint.or_else(|| {
            Some(
                "`queue:NAME`, `flow:NAME`, `agent:ID`, or a number that leads somewhere"
                    .to_owned(),
            )
        });
        self.tell(QUEUES, Severity::Error, &target.span, message, hint);
    }

    /// A queue that closes, or gives callers up, should say where they go.
    fn closing(&mut self, queue: &Queue) {
        let days = queue.hours.first().or(queue.holidays.first());
        if let (Some(days), None, Some(_)) = (days, &queue.overflow, &queue.number) {
            let message = format!(
                "queue `{}` closes, and callers of its number are hung up on",
                queue.name.value
            );
            self.warning(
                QUEUES,
                &days.span,
                message,
                Some("`overflow = \"flow:NAME\"` or another queue"),
            );
        }
    }

    /// Queues that overflow into each other in a circle.
    fn circles(&mut self) {
        let queues = &self.forms.queues.queue;
        let next = |name: &str| {
            let queue = queues.iter().find(|queue| queue.name.as_str() == name)?;
            queue.overflow.as_ref()?.strip_prefix("queue:")
        };
        let mut found = Vec::new();
        for queue in queues {
            let mut at = queue.name.as_str();
            let mut way = vec![at];
            while let Some(to) = next(at).filter(|_| way.len() <= queues.len()) {
                way.push(to);
                at = to;
                if to == queue.name.as_str() {
                    break;
                }
            }
            if way.len() > 1 && at == queue.name.as_str() {
                found.extend(
                    queue
                        .overflow
                        .as_ref()
                        .map(|target| (target, way.join(" → "))),
                );
            }
        }
        for (target, way) in found {
            let message = format!("these queues overflow in a circle: {way}");
            self.error(
                QUEUES,
                &target.span,
                message,
                Some("let the last one go to a flow, or nowhere"),
            );
        }
    }
}

/// A skill of which a step requires more than before.
fn harder<'a>(
    before: &Skills,
    own: &'a BTreeMap<String, Placed<Level>>,
) -> Option<(&'a String, &'a Placed<Level>)> {
    own.iter()
        .find(|(skill, level)| before.get(skill.as_str()).copied().unwrap_or(0) < level.0)
}
