//! Queues and numbers: compiled and checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::api::QueueService;
use ivr::Severity;

use super::check::{Check, is_name};
use super::flows::{FlowSet, PROMPT_EXTENSIONS};
use super::form::{Answer, Queue, Record, Route};
use super::read::{QUEUES, TRUNKS};
use super::value::{Length, Placed};
use super::walk::near;

type Name = Arc<str>;

pub(super) struct CompiledQueues {
    pub(super) acd: Vec<acd::api::Queue>,
    pub(super) services: BTreeMap<Name, QueueService>,
}

impl Check<'_> {
    pub(super) fn queues(
        &mut self,
        ivr_dir: Option<&Path>,
        time_zone: &jiff::tz::TimeZone,
    ) -> CompiledQueues {
        let mut compiled = CompiledQueues {
            acd: Vec::new(),
            services: BTreeMap::new(),
        };
        for queue in &self.forms.queues.queue {
            let name: Name = queue.name.as_str().into();
            if !is_name(&name) {
                self.error(
                    QUEUES,
                    &queue.name.span,
                    format!("\"{name}\" is no queue name"),
                    Some("letters, digits, `-`, `_` and `.`"),
                );
                continue;
            }
            if compiled.services.contains_key(&name) {
                self.error(
                    QUEUES,
                    &queue.name.span,
                    format!("there are two queues `{name}`"),
                    Some("flows, events and metrics name a queue: give this one another name"),
                );
                continue;
            }
            if let Some(number) = &queue.number {
                self.take_number(
                    QUEUES,
                    number,
                    &number.span,
                    format!("queue `{name}`"),
                    engine::Route::Queue(name.clone()),
                );
            }
            if queue.ring.0 < Duration::from_secs(1) {
                self.error(
                    QUEUES,
                    &queue.ring.span,
                    format!("queue `{name}` rings for less than a second"),
                    Some("e.g. \"20s\""),
                );
            }
            self.music(queue, ivr_dir);
            let hours = self.hours(queue, time_zone);
            self.announcement(queue, ivr_dir);
            compiled
                .services
                .insert(name.clone(), service(&name, queue, hours));
            compiled
                .acd
                .push(super::check_queues::acd_queue(&name, queue));
        }
        compiled
    }

    pub(super) fn music(&mut self, queue: &Queue, ivr_dir: Option<&Path>) {
        let Some(music) = &queue.music else { return };
        let found = ivr_dir.is_some_and(|dir| {
            let place = dir.join("prompts").join(&music.value);
            let plays = |path: &Path| {
                let extension = path.extension().and_then(|extension| extension.to_str());
                extension.is_some_and(|extension| PROMPT_EXTENSIONS.contains(&extension))
            };
            let file = |extension| {
                dir.join("prompts")
                    .join(format!("{}.{extension}", music.value))
                    .is_file()
            };
            // A folder of music is a play list.
            let listed = || {
                place
                    .read_dir()
                    .is_ok_and(|entries| entries.flatten().any(|entry| plays(&entry.path())))
            };
            PROMPT_EXTENSIONS.into_iter().any(file) || listed()
        });
        if !found {
            let place = ivr_dir.map_or_else(
                || "no ivr directory".to_owned(),
                |dir| format!("{}/prompts", dir.display()),
            );
            self.error(
                QUEUES,
                &music.span,
                format!("there is no music \"{}\" ({place})", music.value),
                Some("a file name without its extension, or a folder of files, e.g. \"music/default\""),
            );
        }
    }

    /// What is said of recording must be there in each language, and be heard.
    fn announcement(&mut self, queue: &Queue, ivr_dir: Option<&Path>) {
        let Some(prompt) = &queue.record_announcement else {
            return;
        };
        let mut complain = |message: String, hint: &str| {
            self.error(QUEUES, &prompt.span, message, Some(hint));
        };
        if queue.answer == Answer::OnAgent {
            let message =
                "`record_announcement` cannot be heard where the agent's answer is the caller's";
            complain(
                message.to_owned(),
                "answer = \"on_queue\", or say it in a flow before the queue",
            );
        }
        for lang in ["zh-CN", "en"] {
            let found = ivr_dir.is_some_and(|dir| {
                PROMPT_EXTENSIONS.iter().any(|extension| {
                    let name = format!("{}.{extension}", prompt.value);
                    dir.join("prompts").join(lang).join(name).is_file()
                })
            });
            if !found {
                let message = format!("there is no prompt \"{}\" in {lang}", prompt.value);
                complain(
                    message,
                    "a file name without its extension, e.g. \"queue/recorded\"",
                );
            }
        }
    }

    pub(super) fn routes(&mut self, flows: &FlowSet) {
        for route in &self.forms.trunks.route {
            let Some((target, reference)) = self.route(route) else {
                continue;
            };
            // The built-in routes give way: a configuration that says nothing of numbers has only those that it can serve.
            let built_in = self.sources.trunks.built_in
                && route.number.span.start < self.sources.trunks.text().len();
            let (known, kind): (Vec<&str>, &str) = match &target {
                engine::Route::Flow(_) => {
                    (flows.names.iter().map(|name| &**name).collect(), "flow")
                }
                engine::Route::Queue(_) => (
                    self.forms
                        .queues
                        .queue
                        .iter()
                        .map(|queue| queue.name.as_str())
                        .collect(),
                    "queue",
                ),
                engine::Route::Agent(_) => (
                    self.forms
                        .agents
                        .agent
                        .iter()
                        .map(|agent| agent.id.as_str())
                        .collect(),
                    "agent",
                ),
                engine::Route::Echo | engine::Route::Tone { .. } => (Vec::new(), ""),
            };
            if let Some(reference) = reference
                && !known.contains(&reference.as_str())
            {
                if !built_in {
                    let hint =
                        near(reference, &known).map(|near| format!("did you mean `{near}`?"));
                    let hint = hint.or_else(|| {
                        (kind == "flow" && known.is_empty())
                            .then(|| "there are no flows: set `ivr.dir`".to_owned())
                    });
                    let hint = hint.or_else(|| Some(format!("there are: {}", known.join(", "))));
                    self.tell(
                        TRUNKS,
                        Severity::Error,
                        &reference.span,
                        format!("there is no {kind} `{}`", reference.value),
                        hint,
                    );
                }
                continue;
            }
            if let Some(trunk) = &route.trunk {
                let (trunk, number) = (trunk.as_str().into(), route.number.as_str().into());
                self.trunk_routes.push((trunk, number, target));
                continue;
            }
            if !(built_in && self.numbers.contains_key(route.number.as_str())) {
                self.take_number(
                    TRUNKS,
                    &route.number,
                    &route.number.span,
                    "a route".to_owned(),
                    target,
                );
            }
        }
    }

    /// Where a route leads, and the name in it that must exist.
    pub(super) fn route<'r>(
        &mut self,
        route: &'r Placed<Route>,
    ) -> Option<(engine::Route, Option<&'r Placed<String>>)> {
        let mut targets = Vec::new();
        let name = |placed: &Placed<String>| Name::from(placed.as_str());
        targets.extend(
            route
                .flow
                .as_ref()
                .map(|flow| (engine::Route::Flow(name(flow)), Some(flow))),
        );
        targets.extend(
            route
                .queue
                .as_ref()
                .map(|queue| (engine::Route::Queue(name(queue)), Some(queue))),
        );
        targets.extend(
            route
                .agent
                .as_ref()
                .map(|agent| (engine::Route::Agent(name(agent)), Some(agent))),
        );
        targets.extend(route.echo.then_some((engine::Route::Echo, None)));
        targets.extend(
            route
                .tone
                .map(|hertz| (engine::Route::Tone { hertz }, None)),
        );
        if targets.len() != 1 {
            let message = format!(
                "the route of {} must lead to exactly one place",
                route.number.value
            );
            self.error(
                TRUNKS,
                &route.number.span,
                message,
                Some("one of `flow`, `queue`, `agent`, `echo = true`, `tone = 1004`"),
            );
            return None;
        }
        targets.pop()
    }
}

fn service(name: &Name, queue: &Queue, hours: Option<Arc<ivr::Calendar>>) -> QueueService {
    QueueService {
        name: name.clone(),
        service_level: queue.service_level.0,
        short_abandon: queue.short_abandon.0,
        answer_on_agent: queue.answer == Answer::OnAgent,
        music: queue
            .music
            .as_ref()
            .map_or("music/default", |music| music.as_str())
            .into(),
        announce_every: queue
            .announce_every
            .map(|Length(every)| every)
            .filter(|every| !every.is_zero()),
        overflow: queue.overflow.as_ref().map(|target| target.as_str().into()),
        hours,
        closed: queue.closed,
        record: rule(queue.record, queue.record_share),
        record_announcement: queue
            .record_announcement
            .as_ref()
            .map(|prompt| prompt.as_str().into()),
    }
}

/// A way of recording, as the engine has it.
pub(super) fn rule(record: Record, percent: u8) -> engine::RecordRule {
    match record {
        Record::Never => engine::RecordRule::Never,
        Record::OnDemand => engine::RecordRule::OnDemand,
        Record::Always => engine::RecordRule::Always { percent },
    }
}
