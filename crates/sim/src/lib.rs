//! The engine's virtual world: a clock that jumps, a network that loses, telephones with scripts, and a naive reference ACD.
//!
//! [`World`](world::World) holds one engine and its phones; [`shift::play`] is a seeded shift with the [`invariants`] checked after every step.
//! Media is in name only here: ports come back and prompts end. Sound is tested in `media` and end to end.

pub mod centre;
pub mod dice;
pub mod invariants;
pub mod phone;
pub mod reference;
pub mod shift;
pub mod story;
pub mod world;
