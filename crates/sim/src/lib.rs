//! The engine's virtual world: clock, lossy network, scripted phones, a naive reference ACD
