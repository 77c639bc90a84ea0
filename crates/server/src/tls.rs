//! TLS for SIP and HTTP: certificates from PEM files, checked when they are read, and the names that a verified certificate is good for.
//!
//! TLS 1.2 and 1.3, one provider of cryptography (ring). A domain is proved by RFC 5922: a DNS name of the certificate, or a `sip:` URI in it.
//!
//! Absent on purpose: revocation lists. A trunk's certificate that should not be believed any more is taken out of `trunks.toml`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};

/// The files of one listener, as the configuration names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Ours, then those between it and its CA.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Who signs the certificates that clients may show.
    pub client_ca: Option<PathBuf>,
    /// Whom we believe where we call; the system's roots when absent.
    pub ca: Option<PathBuf>,
}

/// Which of the files is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Certificate,
    Key,
    ClientCa,
    Ca,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub part: Part,
    pub message: String,
    pub hint: &'static str,
}

/// What a listener and the connections of ours are made with.
#[derive(Clone, Debug)]
pub struct Keys {
    /// `None` without a certificate of our own.
    pub server: Option<Arc<ServerConfig>>,
    /// `None` when nobody is trusted: the system has no roots and no CA is configured.
    pub client: Option<Arc<ClientConfig>>,
    /// To tell whether a reload brings others.
    certificate: Vec<CertificateDer<'static>>,
}

/// The keys in force; a clone is the same place. A reload puts others into it, connections that are open keep theirs.
#[derive(Clone, Debug)]
pub struct Current(Arc<RwLock<Keys>>);

impl Current {
    pub fn new(keys: Keys) -> Self {
        Current(Arc::new(RwLock::new(keys)))
    }

    pub fn set(&self, keys: Keys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    pub fn get(&self) -> Keys {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Keys {
    /// Reads the files. `protocols` are those of ALPN.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn read(files: &Files, protocols: &[&[u8]]) -> Result<Keys, Fault> {
        let own = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => Some(own(certificate, key)?),
            (Some(_), None) => {
                let message = "a certificate without its key".to_owned();
                let hint = "key = \"key.pem\"";
                return Err(Fault {
                    part: Part::Certificate,
                    message,
                    hint,
                });
            }
            (None, Some(_)) => {
                let message = "a key without its certificate".to_owned();
                let hint = "certificate = \"certificate.pem\"";
                return Err(Fault {
                    part: Part::Key,
                    message,
                    hint,
                });
            }
            (None, None) => None,
        };
        let server = match &own {
            Some(own) => {
                let mut config = server_config(own, files.client_ca.as_deref())?;
                config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
                Some(Arc::new(config))
            }
            None => None,
        };
        Ok(Keys {
            server,
            client: client_config(own.as_ref(), files.ca.as_deref())?.map(Arc::new),
            certificate: own.map(|own| own.cert.clone()).unwrap_or_default(),
        })
    }

    /// Nobody's: TLS neither listens nor calls.
    pub fn none() -> Keys {
        Keys {
            server: None,
            client: None,
            certificate: Vec::new(),
        }
    }

    /// Whether both have the same certificate.
    pub fn same_certificate(&self, other: &Keys) -> bool {
        self.certificate == other.certificate
    }
}

/// Handshakes that are not done by then are given up.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn own(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Fault> {
    let chain = certificates(Part::Certificate, certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| Fault {
        part: Part::Key,
        message: format!("{}: {error}", key.display()),
        hint: "a PEM file with the certificate's private key that this user may read",
    })?;
    in_time(certificate, &chain)?;
    let own = CertifiedKey::from_der(chain, private, &provider()).map_err(|error| {
        let mismatch = matches!(error, rustls::Error::InconsistentKeys(_));
        Fault {
            part: Part::Key,
            message: if mismatch {
                format!(
                    "{} is not the key of {}",
                    key.display(),
                    certificate.display()
                )
            } else {
                format!("{}: {error}", key.display())
            },
            hint: "the certificate that was signed for this key",
        }
    })?;
    Ok(Arc::new(own))
}

fn certificates(part: Part, file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let message = match read {
        Ok(found) if found.is_empty() => format!("{} holds no certificate", file.display()),
        Ok(found) => return Ok(found),
        Err(error) => format!("{}: {error}", file.display()),
    };
    Err(Fault {
        part,
        message,
        hint: "a PEM file, relative to the configuration directory, that this user may read",
    })
}

/// That today is between the certificate's dates. Nothing else is judged: who trusts it is the peers' affair.
fn in_time(file: &Path, chain: &[CertificateDer<'static>]) -> Result<(), Fault> {
    let fault = |message: String| Fault {
        part: Part::Certificate,
        message,
        hint: "a renewed one; SIGHUP takes it over without a restart",
    };
    let Some(first) = chain.first() else {
        return Ok(());
    };
    let parsed = webpki::EndEntityCert::try_from(first)
        .map_err(|error| fault(format!("{}: {error}", file.display())))?;
    let algorithms = provider().signature_verification_algorithms.all;
    let usage = webpki::KeyUsage::server_auth();
    // Without an anchor it always fails, and a date that is past before all.
    match parsed
        .verify_for_usage(algorithms, &[], &[], UnixTime::now(), usage, None, None)
        .err()
    {
        Some(webpki::Error::CertExpired { .. }) => {
            Err(fault(format!("{} has expired", file.display())))
        }
        Some(webpki::Error::CertNotValidYet { .. }) => {
            Err(fault(format!("{} is not valid yet", file.display())))
        }
        _ => Ok(()),
    }
}

fn roots(part: Part, file: &Path) -> Result<RootCertStore, Fault> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(part, file)? {
        store.add(certificate).map_err(|error| Fault {
            part,
            message: format!("{}: {error}", file.display()),
            hint: "the CA's own certificate",
        })?;
    }
    Ok(store)
}

fn server_config(own: &Arc<CertifiedKey>, client_ca: Option<&Path>) -> Result<ServerConfig, Fault> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need");
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let store = Arc::new(roots(Part::ClientCa, file)?);
            // Phones have no certificate: who shows none is a stranger, who shows a wrong one is turned away.
            let verifier = WebPkiClientVerifier::builder_with_provider(store, provider())
                .allow_unauthenticated()
                .build()
                .map_err(|error| Fault {
                    part: Part::ClientCa,
                    message: format!("{}: {error}", file.display()),
                    hint: "the CA's own certificate",
                })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    Ok(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own.clone()))))
}

fn client_config(
    own: Option<&Arc<CertifiedKey>>,
    ca: Option<&Path>,
) -> Result<Option<ClientConfig>, Fault> {
    let store = match ca {
        Some(file) => roots(Part::Ca, file)?,
        None => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            store
        }
    };
    if store.is_empty() {
        return Ok(None);
    }
    let store = Arc::new(store);
    let by_dns = WebPkiServerVerifier::builder_with_provider(store, provider())
        .build()
        .expect("there are roots, and no revocation lists");
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Domain { by_dns }));
    let config = match own {
        Some(own) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.clone())))
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Some(config))
}

/// Verifies as the web does, and takes a `sip:` URI of the certificate for its domain as well (RFC 5922 section 7.1).
#[derive(Debug)]
struct Domain {
    by_dns: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Domain {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self
            .by_dns
            .verify_server_cert(certificate, between, name, ocsp, now);
        // The chain is verified before the name is looked at.
        let wrong_name = matches!(
            verdict,
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ))
        );
        let wanted = name.to_str();
        if wrong_name && sip_domains(certificate).any(|domain| domain.eq_ignore_ascii_case(&wanted))
        {
            return Ok(ServerCertVerified::assertion());
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_dns
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_dns
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.by_dns.supported_verify_schemes()
    }
}

/// The domains of a certificate's `sip:` URIs; one with a user part is a person's (RFC 5922 section 7.1).
fn sip_domains<'a>(certificate: &'a CertificateDer<'_>) -> impl Iterator<Item = &'a str> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok();
    parsed
        .into_iter()
        .flat_map(|parsed| parsed.valid_uri_names())
        .filter_map(|uri| {
            let (scheme, domain) = uri.split_once(':')?;
            let plain = !domain.contains(['@', ';', '?', ':']);
            (scheme.eq_ignore_ascii_case("sip") && plain).then_some(domain)
        })
}

/// What a certificate that has been verified is good for: its DNS names and the domains of its `sip:` URIs.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<Arc<str>> {
    let dns = webpki::EndEntityCert::try_from(certificate)
        .ok()
        .into_iter()
        .flat_map(|parsed| parsed.valid_dns_names().map(Arc::from).collect::<Vec<_>>());
    sip_domains(certificate).map(Arc::from).chain(dns).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    /// A certificate that signs itself, in a directory, with its key beside it.
    fn files(dir: &Path, change: impl FnOnce(&mut CertificateParams)) -> Files {
        let mut params = CertificateParams::new(vec!["pbx.example".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.join("certificate.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
        Files {
            certificate: Some(dir.join("certificate.pem")),
            key: Some(dir.join("key.pem")),
            ..Files::default()
        }
    }

    fn fault(files: &Files) -> (Part, String) {
        let fault = Keys::read(files, &[]).unwrap_err();
        let file = fault.message.rsplit('/').next().unwrap_or_default();
        (fault.part, file.to_owned())
    }

    #[test]
    fn every_fault_of_the_files_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let good = files(dir.path(), |_| {});
        assert!(Keys::read(&good, &[]).unwrap().server.is_some());
        let without = Files {
            key: None,
            ..good.clone()
        };
        assert_eq!(
            fault(&without),
            (Part::Certificate, "a certificate without its key".into())
        );
        let other = tempfile::tempdir().unwrap();
        let mixed = Files {
            key: files(other.path(), |_| {}).key,
            ..good.clone()
        };
        let (part, message) = fault(&mixed);
        assert_eq!((part, &*message), (Part::Key, "certificate.pem"));
        let missing = Files {
            client_ca: Some(dir.path().join("nobody.pem")),
            ..good.clone()
        };
        assert_eq!(fault(&missing).0, Part::ClientCa);
        std::fs::write(dir.path().join("empty.pem"), "no PEM").unwrap();
        let empty = Files {
            ca: Some(dir.path().join("empty.pem")),
            ..good
        };
        assert_eq!(
            fault(&empty),
            (Part::Ca, "empty.pem holds no certificate".into())
        );
        for (from, to, word) in [
            (2019, 2020, "certificate.pem has expired"),
            (2098, 2099, "certificate.pem is not valid yet"),
        ] {
            let dated = files(dir.path(), |params| {
                params.not_before = rcgen::date_time_ymd(from, 1, 1);
                params.not_after = rcgen::date_time_ymd(to, 1, 1);
            });
            assert_eq!(fault(&dated), (Part::Certificate, word.into()));
        }
    }

    #[test]
    fn a_certificate_is_good_for_its_dns_names_and_the_domains_of_its_sip_uris() {
        let mut params = CertificateParams::new(vec!["pbx.example".to_owned()]).unwrap();
        for uri in [
            "sip:carrier.example",
            "sip:alice@person.example",
            "https://web.example",
        ] {
            params
                .subject_alt_names
                .push(SanType::URI(uri.try_into().unwrap()));
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = names(certificate.der());
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        assert_eq!(names, ["carrier.example", "pbx.example"]);
    }
}
