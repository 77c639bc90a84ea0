//! A fold of engine events into KPIs
