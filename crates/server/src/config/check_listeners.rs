//! Where we listen: addresses, certificates, and what must go with them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::check::Check;
use super::compile::{Base, RtpSettings, Settings};
use super::form::Addresses;
use super::read::CENTRE;
use super::value::Placed;
use crate::tls;

/// Addresses that SIP listens on at most: two networks in two families.
const ADDRESSES_MAX: usize = 4;
/// Protocols of ALPN for HTTPS.
const HTTP: &[&[u8]] = &[b"http/1.1"];

/// The port of browsers where none is set: below those of RTP.
const BROWSERS: u16 = 9_000;

impl Check<'_> {
    /// A listener's own addresses, else the node's, else loopback.
    fn addresses_of<'a>(&self, own: &'a Option<Placed<Addresses>>) -> Vec<IpAddr>
    where
        Self: 'a,
    {
        let node = &self.forms.centre.bind;
        let given = own.as_ref().or(node.as_ref());
        let all = given.map_or_else(Vec::new, |addresses| addresses.all().to_vec());
        if all.is_empty() {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]
        } else {
            all
        }
    }

    pub(super) fn sip_addresses(&mut self) -> Vec<SocketAddr> {
        let sip = &self.forms.centre.sip;
        let all = self.addresses_of(&sip.bind);
        if all.len() > ADDRESSES_MAX {
            let span = sip.bind.as_ref().or(self.forms.centre.bind.as_ref());
            let span = span.map_or(0..0, |placed| placed.span.clone());
            let message = format!("{} addresses for SIP", all.len());
            let hint = format!("at most {ADDRESSES_MAX}");
            self.error(CENTRE, &span, message, Some(&hint));
        }
        all.into_iter()
            .map(|ip| SocketAddr::new(ip, sip.port))
            .collect()
    }

    pub(super) fn http_address(&self) -> SocketAddr {
        let centre = &self.forms.centre;
        let node = self.addresses_of(&None)[0];
        SocketAddr::new(
            centre.http.bind.as_deref().copied().unwrap_or(node),
            centre.http.port,
        )
    }

    /// One address of each family: a port is bound on both.
    pub(super) fn rtp_settings(&mut self) -> RtpSettings {
        let rtp = &self.forms.centre.rtp;
        let mut bind: Vec<IpAddr> = Vec::new();
        for ip in self.addresses_of(&rtp.bind) {
            if !bind.iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
                bind.push(ip);
            } else if let Some(own) = &rtp.bind {
                let message = format!("{ip} is a second RTP address of its family");
                let hint = "one IPv4 and one IPv6 address";
                self.error(CENTRE, &own.span, message, Some(hint));
            }
        }
        let public = rtp.public.as_deref().map_or(&[][..], Addresses::all);
        RtpSettings {
            told: bind.iter().map(|ip| told(*ip, public)).collect(),
            bind,
            first: *rtp.first,
            last: *rtp.last,
            browsers: rtp.browsers.unwrap_or(match *rtp.first {
                0 => 0,
                _ => BROWSERS,
            }),
            threads: rtp.threads,
        }
    }

    pub(super) fn sip_keys(&mut self, base: &Base<'_>) -> tls::Keys {
        let form = &self.forms.centre.sip.tls;
        let at = |file: &Option<Placed<std::path::PathBuf>>| {
            file.as_ref().map(|file| base.dir.join(&file.value))
        };
        let files = tls::Files {
            certificate: at(&form.certificate),
            key: at(&form.key),
            client_ca: at(&form.client_ca),
            ca: at(&form.ca),
        };
        let span = |part| match part {
            tls::Part::Certificate => &form.certificate,
            tls::Part::Key => &form.key,
            tls::Part::ClientCa => &form.client_ca,
            tls::Part::Ca => &form.ca,
        };
        tls::Keys::read(&files, &[]).unwrap_or_else(|fault| self.key_fault(fault, span))
    }

    pub(super) fn http_keys(&mut self, base: &Base<'_>) -> tls::Keys {
        let form = &self.forms.centre.http.tls;
        let at = |file: &Option<Placed<std::path::PathBuf>>| {
            file.as_ref().map(|file| base.dir.join(&file.value))
        };
        let files = tls::Files {
            certificate: at(&form.certificate),
            key: at(&form.key),
            ..tls::Files::default()
        };
        let span = |part| match part {
            tls::Part::Key => &form.key,
            tls::Part::Certificate | tls::Part::ClientCa | tls::Part::Ca => &form.certificate,
        };
        tls::Keys::read(&files, HTTP).unwrap_or_else(|fault| self.key_fault(fault, span))
    }

    fn key_fault<'a>(
        &mut self,
        fault: tls::Fault,
        of: impl Fn(tls::Part) -> &'a Option<Placed<std::path::PathBuf>>,
    ) -> tls::Keys {
        let span = of(fault.part)
            .as_ref()
            .map_or(0..0, |placed| placed.span.clone());
        self.error(CENTRE, &span, fault.message, Some(fault.hint));
        tls::Keys::none()
    }

    pub(super) fn dns_servers(&mut self) -> Vec<SocketAddr> {
        let mut servers = Vec::new();
        for server in &self.forms.centre.sip.dns.servers {
            match server.parse() {
                Ok(address) => servers.push(address),
                Err(_) => {
                    let message = format!("\"{}\" is no DNS server", server.value);
                    let hint = "address and port, e.g. \"192.0.2.53:53\"";
                    self.error(CENTRE, &server.span, message, Some(hint));
                }
            }
        }
        servers
    }

    pub(super) fn listeners(&mut self, settings: &Settings) {
        let centre = &self.forms.centre;
        let sip: Vec<IpAddr> = settings.sip.iter().map(SocketAddr::ip).collect();
        let http = [settings.http.ip()];
        let beyond: Vec<&str> = [
            ("SIP", &sip[..]),
            ("HTTP", &http[..]),
            ("RTP", &settings.rtp.bind[..]),
        ]
        .into_iter()
        .filter(|(_, addresses)| !addresses.iter().all(IpAddr::is_loopback))
        .map(|(what, _)| what)
        .collect();
        if settings.demo_passwords && !beyond.is_empty() {
            let message = format!(
                "demo passwords are refused because {} would listen beyond loopback",
                beyond.join(", ")
            );
            let hint = "set `demo_passwords = false` and give the agents credentials with `cordboard agent passwd`, or bind 127.0.0.1";
            let span = if centre.demo_passwords.span.is_empty() {
                centre.bind.as_ref().map_or(0..0, |bind| bind.span.clone())
            } else {
                centre.demo_passwords.span.clone()
            };
            self.error(CENTRE, &span, message, Some(hint));
        }
        self.everywhere("sip", &sip, &centre.sip.bind, &settings.sip_public);
        let public = centre.rtp.public.as_deref().map_or(&[][..], Addresses::all);
        self.everywhere("rtp", &settings.rtp.bind, &centre.rtp.bind, public);
    }

    /// Who listens on every address must say which one others shall use.
    fn everywhere(
        &mut self,
        what: &str,
        bound: &[IpAddr],
        own: &Option<Placed<Addresses>>,
        public: &[IpAddr],
    ) {
        let untold = |ip: &&IpAddr| ip.is_unspecified() && told(**ip, public).is_unspecified();
        if bound.iter().find(untold).is_none() {
            return;
        }
        let placed = own.as_ref().or(self.forms.centre.bind.as_ref());
        let span = placed.map_or(0..0, |placed| placed.span.clone());
        let message = format!(
            "{what} listens on every address, so phones must be told one: `{what}.public` is missing"
        );
        let hint = "the address of this machine that the phones can reach";
        self.error(CENTRE, &span, message, Some(hint));
    }
}

/// What others are told of a bound address.
pub fn told(bound: IpAddr, public: &[IpAddr]) -> IpAddr {
    let same_family = public.iter().find(|ip| ip.is_ipv4() == bound.is_ipv4());
    same_family.copied().unwrap_or(bound)
}
