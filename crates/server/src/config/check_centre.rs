//! The node's settings: compiled and checked.

use std::path::PathBuf;
use std::time::Duration;

use super::check::{Check, is_name};
use super::compile::{Base, Import, Settings, media_codec};
use super::read::CENTRE;

/// Shortest session that we would take: refreshes must have the time to be answered.
const SESSION_MIN: Duration = Duration::from_secs(2);
/// What `sip.try_for` may be; timer B ends it anyhow.
const TRY_FOR: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(32);

impl Check<'_> {
    pub(super) fn settings(&mut self, base: &Base<'_>) -> Settings {
        let forms = self.forms;
        let centre = &forms.centre;
        let time_zone = jiff::tz::TimeZone::get(&centre.locale.time_zone).unwrap_or_else(|_| {
            let hint = "an IANA name, e.g. \"Asia/Shanghai\"";
            self.error(
                CENTRE,
                &centre.locale.time_zone.span,
                format!(
                    "there is no time zone \"{}\"",
                    centre.locale.time_zone.value
                ),
                Some(hint),
            );
            jiff::tz::TimeZone::UTC
        });
        let node = centre.node.as_ref().map_or("cb1", |node| node.as_str());
        Settings {
            node: node.into(),
            data_dir: centre
                .data_dir
                .clone()
                .unwrap_or_else(|| PathBuf::from("data")),
            sip: self.sip_addresses(),
            sip_public: centre
                .sip
                .public
                .as_ref()
                .map_or_else(Vec::new, |public| public.all().to_vec()),
            sip_tls_port: centre.sip.tls_port,
            sip_tls: self.sip_keys(base),
            http_tls: self.http_keys(base),
            dns_servers: self.dns_servers(),
            http: self.http_address(),
            metrics_token: centre.http.metrics_token.clone(),
            rtp: self.rtp_settings(),
            ivr_dir: base.ivr_dir.clone(),
            drain: centre.limits.drain.0,
            first_import: centre.customers.first_import.as_ref().map(|file| {
                let of_the_file = file.span.start < self.sources.centre.text().len();
                if self.sources.centre.built_in && of_the_file {
                    Import::Demo
                } else {
                    Import::File(base.dir.join(&file.value))
                }
            }),
            time_zone,
            country: centre.locale.country.as_str().into(),
            realm: centre.sip.realm.as_str().into(),
            log_level: centre.log.level.value.clone(),
            log_json: centre.log.json,
            demo_passwords: *centre.demo_passwords,
            hep: self.hep(),
            speech: None, // found out when the flows are known
            source_rate: self.forms.centre.sip.guard.rate,
            keep_recordings: centre.recording.keep.as_ref().map(|keep| keep.value.0),
            agents_may_listen: centre.recording.agents_may_listen,
        }
    }

    fn hep(&mut self) -> Option<crate::hep::Settings> {
        let hep = self.forms.centre.sip.hep.as_ref()?;
        let address = hep.server.value.strip_prefix("udp:");
        let Some(server) = address.and_then(|address| address.parse().ok()) else {
            self.error(
                CENTRE,
                &hep.server.span,
                format!("\"{}\" is no place of a collector", hep.server.value),
                Some("e.g. \"udp:127.0.0.1:9060\""),
            );
            return None;
        };
        Some(crate::hep::Settings {
            server,
            id: hep.id,
            password: hep.password.clone(),
        })
    }

    pub(super) fn centre(&mut self, settings: &Settings) {
        let centre = &self.forms.centre;
        if let Some(node) = &centre.node
            && !is_name(node)
        {
            self.error(
                CENTRE,
                &node.span,
                format!("\"{}\" is no node name", node.value),
                Some("letters, digits, `-`, `_` and `.`"),
            );
        }
        if centre.sip.digest.is_empty() {
            self.error(
                CENTRE,
                &centre.sip.digest.span,
                "`sip.digest` is empty: nobody could sign in",
                Some("e.g. [\"SHA-256\", \"MD5\"]"),
            );
        }
        if centre.media.codecs.is_empty() {
            self.error(
                CENTRE,
                &centre.media.codecs.span,
                "`media.codecs` is empty",
                Some("e.g. [\"PCMA\", \"PCMU\"]"),
            );
        }
        self.codecs_built();
        let ptime = centre.media.ptime.0.as_millis();
        if !(10..=60).contains(&ptime) || !ptime.is_multiple_of(10) {
            self.error(
                CENTRE,
                &centre.media.ptime.span,
                "`media.ptime` must be 10 to 60 ms in steps of 10",
                Some("\"20ms\" is what phones use"),
            );
        }
        if !crm::is_country(&centre.locale.country) {
            self.error(
                CENTRE,
                &centre.locale.country.span,
                format!("\"{}\" is no country", centre.locale.country.value),
                Some("two capital letters, e.g. \"CN\""),
            );
        }
        if let Some(keep) = &centre.recording.keep
            && keep.value.0.is_zero()
        {
            self.error(
                CENTRE,
                &keep.span,
                "`recording.keep` of nothing would remove each recording at once",
                Some("e.g. \"90d\"; leave it out to keep them for ever"),
            );
        }
        let options = centre.sip.phone_options.0;
        if !options.is_zero() && options < Duration::from_secs(1) {
            self.error(
                CENTRE,
                &centre.sip.phone_options.span,
                "phones are asked more often than each second",
                Some("e.g. \"60s\", or \"0s\" to ask none"),
            );
        }
        if !TRY_FOR.contains(&centre.sip.try_for.0) {
            self.error(
                CENTRE,
                &centre.sip.try_for.span,
                "a server has between a second and 32 seconds (timer B) for its first answer",
                Some("e.g. \"4s\""),
            );
        }
        if centre.sip.expires_min > centre.sip.expires_max {
            self.error(
                CENTRE,
                &(0..0),
                "`sip.expires_min` is more than `sip.expires_max`",
                Some("e.g. \"60s\" and \"1h\""),
            );
        }
        if centre.sip.session_expires_min > centre.sip.session_expires
            || centre.sip.session_expires_min.0 < SESSION_MIN
        {
            self.error(
                CENTRE,
                &(0..0),
                "`sip.session_expires_min` is more than `sip.session_expires`, or less than 2 s",
                Some("e.g. \"90s\" and \"30m\""),
            );
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(centre.log.level.as_str()) {
            self.error(
                CENTRE,
                &centre.log.level.span,
                format!("`log.level`: {error}"),
                Some("\"info\", or with modules: \"info,engine=debug\""),
            );
        }
        self.rtp(settings);
        self.listeners(settings);
        if let Some(Import::File(file)) = &settings.first_import
            && !file.is_file()
        {
            let span = centre
                .customers
                .first_import
                .as_ref()
                .map_or(0..0, |placed| placed.span.clone());
            self.error(
                CENTRE,
                &span,
                format!("there is no file {}", file.display()),
                Some("relative to the configuration directory"),
            );
        }
    }

    pub(super) fn rtp(&mut self, settings: &Settings) {
        let rtp = &self.forms.centre.rtp;
        if settings.rtp.first == 0 {
            return;
        }
        if settings.rtp.first > settings.rtp.last {
            self.error(
                CENTRE,
                &rtp.first.span,
                format!(
                    "`rtp.first` ({}) is behind `rtp.last` ({})",
                    settings.rtp.first, settings.rtp.last
                ),
                Some("e.g. 10000 and 31999; first = 0 lets the system pick"),
            );
        }
        // The SIP port may lie among them: it is bound first, and a port that is taken is left out.
    }
}

impl Check<'_> {
    /// Codecs named by the operator, not by default, that this binary has not.
    fn codecs_built(&mut self) {
        const HINT: &str =
            "`make build` builds it in; so does `cargo build --features opus`, which needs cmake";
        let codecs = &self.forms.centre.media.codecs;
        let absent = codecs
            .iter()
            .filter(|codec| !media_codec(**codec).is_built());
        let (span, absent) = (codecs.span.clone(), absent.count());
        if absent > 0 && absent == codecs.len() {
            let message = "this binary was built without Opus: it would speak no codec";
            self.error(CENTRE, &span, message, Some(HINT));
        } else if absent > 0 && !span.is_empty() {
            let message = "this binary was built without Opus: it goes without it";
            self.warning(CENTRE, &span, message, Some(HINT));
        }
    }
}
