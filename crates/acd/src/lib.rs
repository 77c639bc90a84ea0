//! The distributor: queues, skills, agents, offers. It decides and never sends.
//!
//! [`Acd`] is one value with `handle`, `handle_timeout`, `poll_output`, `poll_timeout`. Inputs and outputs are plain, serialisable data:
//! the log keeps the inputs, and feeding them to the same configuration and seed gives the same outputs, byte for byte.
//!
//! # The rules
//!
//! `sim::reference` is a naive distributor written from these rules; both get the same random inputs and must do the same.
//!
//! **Steps.** Each call of `handle` is: everything due until `now` (ring, wrap-up, back-off, rest and retry deadlines in order of time,
//! then of kind as listed here, then of agent id), then the matching, then the input, then the matching. Time never goes back: an
//! earlier `now` counts as the latest one seen. A deadline *d* is due at `now >= d`.
//!
//! **Order of service.** A contact's rank is the start of its wait (`since`, at most `now`) minus its credits in seconds: its own
//! priority, its queue's, and its queue's credit for its class, all fixed at enqueue. The lower rank is served first; ties by contact
//! number. A contact that comes back from an offer has its old rank.
//!
//! **Eligible.** An agent is *able* when available as `Ready`, reachable, without work, and not at rest. An able agent is eligible for a
//! contact when, for each required skill, the agent's level (0 if they lack it) is at least the required one, and the two are not in a
//! back-off. Required is the higher level of the queue's and the contact's; level 0 requires nothing.
//!
//! **Steps of a queue.** A contact that has waited (since `since`; credits do not count) at least a step's `after`, and those of the steps
//! before it, requires less: a step's `skills` stand in place of the queue's own, `at_most` caps levels whoever asks for them (0 drops the
//! skill), `anyone` requires nothing. Steps stay in force under later ones. A step that comes while an offer rings shows when that is over.
//!
//! **Wanted agent.** A contact that wants an agent waits for nobody else, until it has waited its patience from entering, an offer to them
//! came to nothing for a reason of theirs, or they ask to log out, are removed, or lack what is required; if one of these is so from the
//! start, it waits for all. After that the wanted agent comes first among the eligible.
//!
//! **Choice.** Of the eligible agents the wanted one comes first, then those who have all preferred skills at the higher of the preferred
//! and the required level, then by the queue's choice: longest idle; least worked today (with work other than an offer, since the last
//! `NewDay`); highest sum of levels in what is required (with the preferred skills for those who have them); or, around by id, the next
//! after the one whom this queue offered a contact last. Then longest idle, then by agent id (as a string).
//!
//! **Matching.** The first contact in order of service that has an eligible agent gets the first of these; again until there is no such contact. Reservation is the same step. So nobody waits while an eligible agent is ready.
//!
//! **Idle** begins when an agent becomes able to take work and ends with work, a break, a lost phone. An offer that comes to nothing
//! without making the agent not ready or unreachable does not end it; coming back from a break begins it anew. A rest does not end it.
//!
//! **Leaving.** A contact leaves a queue whose `max_wait` has passed since it entered: when an offer rings, as soon as that comes to nothing. After
//! each matching it leaves, too, when it waits for nobody for a cause that its queue lists in `empty`. Those count who have the skills of
//! the queue's last step: there are none; none has work or is ready and reachable, and one is on a break; or none of them even that.
//!
//! **Detached.** A contact that waits may be detached from its caller: it keeps its place, counts as waiting, and is offered to nobody and overtaken
//! by nobody; its longest wait is over. `Turn` is told once, when at most `ahead` are before it in its queue or an agent could have it. `Attach` ends it.
//!
//! **A full queue** refuses a contact that would have to wait when `max_waiting` wait already; one that is matched at once, and one that
//! comes back, is never refused. A contact that is already waiting or offered is ignored.
//!
//! **Ends of offers.** The contact is in its old place, unless the caller is gone or it was moved; and the agent:
//!
//! | end | agent |
//! |---|---|
//! | ring time-out | not ready (`rona`) |
//! | busy, failed | stays ready; the pair backs off; from the third in a row on the agent also rests for a back-off |
//! | declined, redirected | the first: the pair backs off; the second in a row: not ready (`declined`), and counting begins again |
//! | unreachable, not registered | unreachable until `Presence`; at a fixed contact the pair backs off, and the third in a row makes the agent unreachable for 30 s, then each further one |
//! | caller gone, moved, withdrawn | as before the offer; counts of "in a row" stay |
//!
//! Only an agent available as `Ready` is made not ready. Busy and failed end a row of declined and of unreachable; declined ends a row
//! of busy and of unreachable; unreachable and a ring time-out end a row of busy and of declined; an answer ends all. A back-off lasts
//! `Config::back_off`, but at least 1 s. An agent is in at most 16 back-offs; in place of one more the agent rests until it would end.
//!
//! **Availability and presence** are kept while the agent works and show afterwards. Becoming reachable makes a logged-out agent with
//! `auto_ready` ready, and ends a row of unreachable; an explicit not-ready is kept. The end of the 30 s signs nobody in.
//!
//! **Calls outside** occupy an agent who has no work, whatever their availability; an offer that rings is withdrawn first; during a
//! conversation or wrap-up they are remembered, and occupy the agent when that is over, if they are still up then.
//!
//! **Wrap-up** lasts as the agent's setting says, else as the queue's says when the conversation ends; zero is none.
//!
//! **Configuration.** A removed agent's offer is withdrawn; they finish their work as logged out and are then gone. A removed queue refuses
//! new contacts, serves those it has with its old settings, and is gone with the last. Requirements follow the new settings, ranks stay.
//! An agent who becomes one with a fixed contact is reachable; one who ceases to be is not until `Presence`. An agent who comes back
//! before being gone is as one who becomes reachable, if reachable. A new agent's first state is told.
//!
//! **Telling.** An agent's state is told once per change, as it is at the end of the matching: wrap-up straight to the next offer is one
//! change. Outputs of one cause are in the order offer ended, agent's state where no work can follow, offers with their agents, the
//! agents who are ready now.
//!
//! Absent on purpose: telephones, customers, clocks, chance without a seed.

pub mod api;

mod acd;
mod agent;
mod choosing;
mod configure;
mod deadlines;
mod decision;
mod index;
mod leaving;
mod line;
mod matching;
mod overtaking;
mod relaxing;
mod why;

pub use acd::{Acd, Counts};
pub use api::{
    Absence, Agent, Availability, Candidate, Choice, Config, ContactId, Decision, Enqueue,
    Excluded, Idle, Input, Left, Name, OfferEnd, OfferResult, Output, Passed, Queue, State, Step,
    Waiting, Wanted, Withdrawal, Work,
};
