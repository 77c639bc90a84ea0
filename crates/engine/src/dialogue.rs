//! The flow and its caller: what the session says goes to media, what the caller presses goes to the session.

use std::collections::BTreeMap;

use clock::Time;
use media::speech::Spoken;
use sip::LegId;

use crate::Engine;
use crate::api::{Count, Output, Route};
use crate::contact::{Ask, LookUp, Stage};
use crate::event::EventKind;
use crate::outbound::{Barred, Destination};
use crate::timers::Kind;

fn lang_in_media(lang: ivr::Lang) -> media::Lang {
    match lang {
        ivr::Lang::ZhCn => media::Lang::ZhCn,
        ivr::Lang::En => media::Lang::En,
    }
}

pub(crate) fn lang_in_flow(lang: media::Lang) -> ivr::Lang {
    match lang {
        media::Lang::ZhCn => ivr::Lang::ZhCn,
        media::Lang::En => ivr::Lang::En,
    }
}

/// A prompt for media; `agent` is who has answered, where somebody has.
fn item(prompt: ivr::Prompt, agent: &str) -> media::Item {
    match prompt {
        ivr::Prompt::File { lang, name } => media::Item::Prompt {
            lang: lang_in_media(lang),
            name,
        },
        ivr::Prompt::Spoken { lang, what } => spoken(lang_in_media(lang), what),
        ivr::Prompt::Agent { lang } => media::Item::Spoken {
            lang: lang_in_media(lang),
            what: Spoken::Agent(agent.into()),
        },
        ivr::Prompt::Text { lang, text } => media::Item::Text {
            lang: lang_in_media(lang),
            text: text.into(),
        },
        ivr::Prompt::Silence { ms } => {
            media::Item::Silence(std::time::Duration::from_millis(ms.into()))
        }
    }
}

/// What is said by grammar: the flow has read it, media has the words.
fn spoken(lang: media::Lang, what: ivr::Spoken) -> media::Item {
    let what = match what {
        ivr::Spoken::Number(value) => return media::Item::Number { lang, value },
        ivr::Spoken::Digits(digits) => {
            return media::Item::Digits {
                lang,
                digits: digits.into(),
            };
        }
        ivr::Spoken::Decimal {
            negative,
            whole,
            decimals,
        } => Spoken::Decimal {
            negative,
            whole,
            decimals: decimals.into(),
        },
        ivr::Spoken::Count(value) => Spoken::Count(value),
        ivr::Spoken::Ordinal(value) => Spoken::Ordinal(value),
        ivr::Spoken::Agent(number) => Spoken::Agent(number.into()),
        ivr::Spoken::Date {
            year,
            month,
            day,
            weekday,
        } => Spoken::Date(media::speech::Date {
            year,
            month,
            day,
            weekday,
        }),
        ivr::Spoken::Time { hour, minute } => Spoken::Time { hour, minute },
        ivr::Spoken::Duration { seconds } => {
            Spoken::Duration(std::time::Duration::from_secs(seconds))
        }
        ivr::Spoken::Money {
            negative,
            units,
            hundredths,
            currency,
        } => Spoken::Money {
            negative,
            units,
            hundredths,
            currency: match currency {
                ivr::Currency::Cny => media::speech::Currency::Cny,
                ivr::Currency::Usd => media::speech::Currency::Usd,
                ivr::Currency::Eur => media::speech::Currency::Eur,
            },
        },
    };
    media::Item::Spoken { lang, what }
}

/// What a flow may read of the customer: the best of those on the number.
pub(crate) fn facts(pop: &crm::Pop) -> BTreeMap<String, ivr::Value> {
    let Some(best) = pop.customers.first() else {
        return BTreeMap::new();
    };
    let text = |text: &str| ivr::Value::Text(text.to_owned());
    BTreeMap::from([
        ("known".to_owned(), ivr::Value::Bool(true)),
        ("id".to_owned(), text(&best.id.0)),
        ("name".to_owned(), text(&best.name)),
        ("class".to_owned(), text(&best.class)),
        ("language".to_owned(), text(&best.language)),
        (
            "tags".to_owned(),
            ivr::Value::List(best.tags.iter().map(|tag| text(tag)).collect()),
        ),
        (
            "count".to_owned(),
            ivr::Value::Number(pop.customers.len() as f64),
        ),
    ])
}

impl Engine {
    /// Answers the caller and makes the flow's session; it begins to speak with the caller's ACK.
    pub(crate) fn enter_flow(&mut self, now: Time, number: acd::ContactId, flow: &str) {
        self.answer_caller(now, number);
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let facts = ivr::Facts {
            ani: contact.number_in_flow(&self.config),
            dnis: contact.dnis.to_string(),
            // Nothing is known of the caller's language yet: the flow asks, or the customer's record says.
            lang: None,
            customer: contact.look_up.pop().map(facts),
        };
        contact.entered_ivr = true;
        contact.session = ivr::Session::new(&self.config.flows, flow, facts).map(Box::new);
        if contact.session.is_none() {
            self.close(now, number, "no_flow");
        }
    }

    pub(crate) fn begin_flow(&mut self, now: Time, number: acd::ContactId) {
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.stage = Stage::Ivr;
        }
        self.tell_session(now, number, ivr::Input::Start);
    }

    /// The look-up has come back while the flow runs.
    pub(crate) fn tell_session_customer(&mut self, now: Time, number: acd::ContactId) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        if let (true, LookUp::Done(pop)) = (contact.session.is_some(), &contact.look_up) {
            let facts = facts(pop);
            self.tell_session(now, number, ivr::Input::Customer(facts));
        }
    }

    /// A queue or an extension did not work out: the flow goes on, if there is one.
    pub(crate) fn return_to_flow(&mut self, now: Time, number: acd::ContactId, word: &str) -> bool {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return false;
        };
        if contact.session.is_none() {
            return false;
        }
        contact.stage = Stage::Ivr;
        let caller = contact.caller;
        self.set_source(caller, media::Source::Silence);
        self.tell_session(now, number, ivr::Input::Returned(word.to_owned()));
        true
    }

    pub(crate) fn digit(&mut self, now: Time, leg: LegId, digit: char) {
        if self.code_digit(now, leg, digit) {
            return;
        }
        let Some(number) = self.legs.get(&leg).and_then(|leg| leg.contact) else {
            return;
        };
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        if contact.caller == leg && matches!(contact.stage, Stage::Ivr) {
            self.tell_session(now, number, ivr::Input::Digit(digit));
        }
    }

    pub(crate) fn played(&mut self, now: Time, leg: LegId, play: media::PlayId) {
        let Some(number) = self.legs.get(&leg).and_then(|leg| leg.contact) else {
            return;
        };
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        match contact.stage {
            Stage::Refusing {
                play: refusing,
                status,
            } if refusing == play => {
                self.tell_sip(
                    now,
                    sip::Command::Reject {
                        leg,
                        status,
                        reason: None,
                        headers: vec![],
                    },
                );
                self.close(now, number, "unknown_number");
            }
            Stage::Announcing {
                play: announced, ..
            } if announced == play => self.announced_recording(now, number),
            Stage::Ivr => {
                if let Some((_, token)) =
                    contact.playing.take_if(|&mut (playing, _)| playing == play)
                {
                    self.tell_session(now, number, ivr::Input::Played(token));
                }
            }
            _ => {}
        }
    }

    /// A service has answered the flow. What the flow no longer waits for is dropped.
    pub(crate) fn flow_answered(
        &mut self,
        now: Time,
        number: acd::ContactId,
        ask: u64,
        answer: ivr::Answer,
    ) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        if let Some((_, token)) = contact.asked.take_if(|&mut (asked, _)| asked == ask) {
            self.tell_session(now, number, ivr::Input::LookedUp { token, answer });
        }
    }

    fn ask(
        &mut self,
        number: acd::ContactId,
        token: ivr::LookUpToken,
        request: ivr::Request,
        within: std::time::Duration,
    ) {
        let ask = self.next_ask;
        self.next_ask += 1;
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.asked = Some((ask, token));
        }
        self.journal.put(Output::Ask {
            contact: number,
            ask,
            request,
            within,
        });
    }

    pub(crate) fn ivr_deadline(&mut self, now: Time, number: acd::ContactId) {
        let Some(mut session) = self
            .contacts
            .get_mut(&number)
            .and_then(|contact| contact.session.take())
        else {
            return;
        };
        session.handle_timeout(now);
        self.drive(now, number, session);
    }

    fn tell_session(&mut self, now: Time, number: acd::ContactId, input: ivr::Input) {
        let Some(mut session) = self
            .contacts
            .get_mut(&number)
            .and_then(|contact| contact.session.take())
        else {
            return;
        };
        session.handle(now, input);
        self.drive(now, number, session);
    }

    /// Carries out what the session wants, then puts it back and sets its deadline.
    fn drive(&mut self, now: Time, number: acd::ContactId, mut session: Box<ivr::Session>) {
        let mut exit = None;
        while let Some(output) = session.poll_output() {
            match output {
                ivr::Output::Play {
                    token,
                    prompts,
                    barge_in,
                } => self.say(now, number, token, prompts, barge_in),
                ivr::Output::StopPlay => {
                    self.hush(number);
                    if let Some(contact) = self.contacts.get_mut(&number) {
                        contact.playing = None;
                        let caller = contact.caller;
                        self.media(
                            caller,
                            media::Command::StopPlay {
                                stream: crate::legs::stream(caller),
                            },
                        );
                    }
                }
                ivr::Output::LookUp {
                    token,
                    request,
                    within,
                } => self.ask(number, token, request, within),
                ivr::Output::Send(request) => self.journal.put(Output::Send(request)),
                ivr::Output::Survey(flow) => {
                    if let Some(contact) = self.contacts.get_mut(&number) {
                        contact.survey = Some(flow);
                    }
                }
                ivr::Output::Results(answers) => self.survey_answered(now, number, answers),
                ivr::Output::Step {
                    flow,
                    state,
                    verb,
                    input,
                    via,
                } => {
                    let Some(contact) =
                        self.contacts.get(&number).map(|contact| contact.id.clone())
                    else {
                        continue;
                    };
                    self.note(
                        now,
                        number,
                        EventKind::IvrStep {
                            contact,
                            flow,
                            state,
                            verb: verb.into(),
                            input,
                            via: via.map(Into::into),
                        },
                    );
                }
                ivr::Output::Language(lang) => {
                    if let Some(contact) = self.contacts.get_mut(&number) {
                        contact.lang = lang_in_media(lang);
                    }
                }
                ivr::Output::Exit(wanted) => exit = Some(wanted),
            }
        }
        let deadline = session.poll_timeout();
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.session = Some(session);
            match deadline {
                Some((at, _)) => self.timers.set(number, Kind::Ivr, at),
                None => self.timers.clear(number, Kind::Ivr),
            }
        }
        if let Some(exit) = exit {
            self.leave_flow(now, number, exit);
        }
    }

    fn say(
        &mut self,
        now: Time,
        number: acd::ContactId,
        token: ivr::PlayToken,
        prompts: Vec<ivr::Prompt>,
        barge_in: bool,
    ) {
        let items = prompts.into_iter().map(|prompt| item(prompt, "")).collect();
        let Some(play) = self.speak(now, number, items, barge_in) else {
            return;
        };
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.playing = Some((play, token));
        }
    }

    /// The caller hears who has answered; the agent is heard after it.
    pub(crate) fn announce_agent(&mut self, now: Time, number: acd::ContactId, agent: &str) {
        let Some(contact) = self.contacts.get_mut(&number) else {
            return;
        };
        let prompts = std::mem::take(&mut contact.announce);
        if !prompts.is_empty() {
            let items = prompts.into_iter().map(|prompt| item(prompt, agent));
            self.speak(now, number, items.collect(), false);
        }
    }

    /// The flow hands its caller over.
    fn leave_flow(&mut self, now: Time, number: acd::ContactId, exit: ivr::Exit) {
        match exit {
            ivr::Exit::Queue {
                queue,
                skills,
                priority,
                data,
                announce,
            } => {
                if let Some(contact) = self.contacts.get_mut(&number) {
                    contact.recording.consent = match data.get("record").map(String::as_str) {
                        Some("no") => Some(false),
                        Some("yes") => Some(true),
                        _ => contact.recording.consent,
                    };
                    contact.flow_data.extend(data);
                    contact.announce = announce;
                }
                let skills = skills
                    .into_iter()
                    .map(|(skill, level)| (skill.into(), level))
                    .collect();
                self.ask_for_queue(
                    now,
                    number,
                    Ask {
                        queue,
                        skills,
                        priority,
                        ..Ask::default()
                    },
                );
            }
            ivr::Exit::Transfer { to } => self.transfer_from_flow(now, number, &to),
            ivr::Exit::Hangup { goal } => {
                if let Some(contact) = self.contacts.get_mut(&number) {
                    contact.goal |= goal;
                }
                self.close(now, number, "flow_end");
            }
        }
    }

    /// Class of service of a flow: internal numbers, and what the entry number that the caller dialled allows it.
    fn transfer_from_flow(&mut self, now: Time, number: acd::ContactId, to: &str) {
        let Some(contact) = self.contacts.get(&number) else {
            return;
        };
        let (contact, classes) = (contact.id.clone(), contact.may_call.clone());
        let destination = self.destination(to, &classes);
        if destination == Err(Barred::Class) {
            self.journal.put(Output::Count(Count::SipRefused {
                what: "class_of_service",
            }));
        }
        if let Ok(destination) = &destination {
            // A number outside is a person's: the log names its class.
            let to = match destination {
                Destination::Inside(_) => to.into(),
                Destination::Outside(outside) => format!("outside:{}", outside.class).into(),
            };
            self.note(
                now,
                number,
                EventKind::ContactTransferred {
                    contact,
                    kind: "flow".into(),
                    from: None,
                    to,
                    consult: None,
                    referred_by: None,
                },
            );
        }
        let route = match destination {
            Ok(Destination::Outside(outside)) => return self.call_outside(now, number, &outside),
            Ok(Destination::Inside(route)) => Some(route),
            Err(Barred::Class | Barred::Unknown) => None,
        };
        match route {
            Some(Route::Agent(agent)) => self.call_extension(now, number, agent),
            Some(Route::Queue(queue)) => self.ask_for_queue(
                now,
                number,
                Ask {
                    queue,
                    skills: BTreeMap::new(),
                    priority: 0,
                    ..Ask::default()
                },
            ),
            Some(Route::Flow(_) | Route::Echo | Route::Tone { .. }) | None => {
                self.return_to_flow(now, number, "failed");
            }
        }
    }
}
