//! Digest authentication by the RFCs' own examples, and the life of a nonce.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clock::Time;
use proptest::prelude::*;
use sip::Algorithm;
use sip::digest::{
    ClientAuth, DigestChallenge, DigestError, DigestResponse, NonceBook, NonceVerdict, challenge,
    ha1,
};
use sip::message::Method;

/// RFC 7616 section 3.9.1; the algorithm's answer differs.
fn rfc7616(algorithm: &str, response: &str) -> String {
    format!(
        "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={algorithm}, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", \
         qop=auth, response=\"{response}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
    )
}

const MD5: &str = "8ca523f5e9506fed4657c9700eebdbec";
const SHA256: &str = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";

#[test]
fn rfc_7616_section_3_9_1() {
    for (algorithm, name, response) in [
        (Algorithm::Md5, "MD5", MD5),
        (Algorithm::Sha256, "SHA-256", SHA256),
    ] {
        let read = DigestResponse::parse(&rfc7616(name, response)).unwrap();
        let key = ha1(
            "Mufasa",
            "http-auth@example.org",
            "Circle of Life",
            algorithm,
        );
        let get = Method::parse("GET").unwrap();
        assert!(read.verify(&key, &get), "{name}");
        assert!(read.verify(&key.to_uppercase(), &get), "{name}");
        assert!(!read.verify(&key, &Method::Invite), "{name}");
        assert!(
            !read.verify(
                &ha1(
                    "Mufasa",
                    "http-auth@example.org",
                    "circle of life",
                    algorithm
                ),
                &get
            ),
            "{name}"
        );
        let wrong = DigestResponse::parse(&rfc7616(name, &response.replace('7', "8"))).unwrap();
        assert!(!wrong.verify(&key, &get), "{name}");
    }
}

#[test]
fn the_client_writes_what_the_rfc_shows() {
    for (algorithm, response) in [(Algorithm::Md5, MD5), (Algorithm::Sha256, SHA256)] {
        let asked = DigestChallenge::parse(&challenge(
            "http-auth@example.org",
            "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
            true,
            algorithm,
        ))
        .unwrap();
        assert!(asked.stale && asked.algorithm == algorithm);
        let written = ClientAuth {
            challenge: &asked,
            username: "Mufasa",
            ha1: &ha1(
                "Mufasa",
                "http-auth@example.org",
                "Circle of Life",
                algorithm,
            ),
            method: &Method::parse("GET").unwrap(),
            uri: "/dir/index.html",
            nc: 1,
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        }
        .to_string();
        let read = DigestResponse::parse(&written).unwrap();
        assert_eq!(read.response, response);
        assert_eq!((read.nc, read.opaque), (1, asked.opaque));
    }
}

#[test]
fn a_challenge_as_written() {
    assert_eq!(
        challenge("a \"quoted\" realm", "n", "o", false, Algorithm::Sha256),
        "Digest realm=\"a \\\"quoted\\\" realm\", nonce=\"n\", opaque=\"o\", algorithm=SHA-256, qop=\"auth\""
    );
    assert_eq!(
        DigestChallenge::parse("Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\""),
        Err(DigestError::Qop)
    );
    assert_eq!(
        DigestChallenge::parse(
            "Digest realm=\"a\", nonce=\"b\", algorithm=SHA-512-256, qop=\"auth\""
        ),
        Err(DigestError::Algorithm)
    );
    assert!(
        DigestChallenge::parse("Digest realm=\"a\",nonce=\"b\",qop=\"auth-int, auth\"").is_ok()
    );
}

#[test]
fn credentials_that_are_of_no_use() {
    let good = rfc7616("MD5", MD5);
    assert_eq!(
        DigestResponse::parse("Basic QWxhZGRpbg=="),
        Err(DigestError::Scheme)
    );
    assert_eq!(DigestResponse::parse("Digest"), Err(DigestError::Scheme));
    assert_eq!(
        DigestResponse::parse(&good.replace("qop=auth,", "")),
        Err(DigestError::Qop)
    );
    assert_eq!(
        DigestResponse::parse(&good.replace("qop=auth,", "qop=auth-int,")),
        Err(DigestError::Qop)
    );
    assert_eq!(
        DigestResponse::parse(&good.replace("nc=00000001", "nc=1")),
        Err(DigestError::Syntax)
    );
    assert_eq!(
        DigestResponse::parse(&good.replace("nc=00000001", "nc=+0000001")),
        Err(DigestError::Syntax)
    );
    assert_eq!(
        DigestResponse::parse(&good.replace("algorithm=MD5", "algorithm=MD5-sess")),
        Err(DigestError::Algorithm)
    );
    assert_eq!(
        DigestResponse::parse(&format!("{good}, realm=\"x\"")),
        Err(DigestError::Syntax)
    );
    assert_eq!(
        DigestResponse::parse(&good.replace("username=\"Mufasa\",", "")),
        Err(DigestError::Missing("username"))
    );
    let quirky = good
        .replace("qop=auth", "QOP=\"auth\"")
        .replace("algorithm=MD5, ", "")
        .replace("Digest ", "digest  ");
    assert!(
        DigestResponse::parse(&quirky).is_ok(),
        "case, quotes and absence of the algorithm are tolerated"
    );
}

/// Whom the nonces are for.
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn at(seconds: u64) -> Time {
    Time::from_secs(1_000_000 + seconds)
}

#[test]
fn a_nonce_lives_until_its_time_and_counts_upwards() {
    let mut book = NonceBook::new([7; 32], Duration::from_secs(60));
    let nonce = book.issue(at(0), HOME);
    assert!(book.is_empty(), "a challenge costs no memory");
    assert_eq!(book.redeem(&nonce, 0, at(1), HOME), NonceVerdict::Replayed);
    assert_eq!(book.redeem(&nonce, 1, at(1), HOME), NonceVerdict::Fresh);
    assert_eq!(book.redeem(&nonce, 1, at(1), HOME), NonceVerdict::Replayed);
    assert_eq!(book.peek(&nonce, 2, at(60), HOME), NonceVerdict::Fresh);
    assert_eq!(book.redeem(&nonce, 9, at(60), HOME), NonceVerdict::Fresh);
    assert_eq!(book.redeem(&nonce, 8, at(60), HOME), NonceVerdict::Replayed);
    assert_eq!(book.redeem(&nonce, 10, at(61), HOME), NonceVerdict::Stale);
    assert_ne!(
        book.issue(at(0), HOME),
        nonce,
        "two of the same moment differ"
    );
}

#[test]
fn a_foreign_nonce_is_no_nonce() {
    let mut book = NonceBook::new([7; 32], Duration::from_secs(60));
    let foreign = NonceBook::new([8; 32], Duration::from_secs(60)).issue(at(0), HOME);
    let mine = book.issue(at(0), HOME);
    let forged = mine.replacen(
        &mine[..16],
        &foreign[..15].chars().chain(['f']).collect::<String>(),
        1,
    );
    for nonce in [
        foreign.as_str(),
        forged.as_str(),
        "",
        "x",
        "\u{738b}\u{738b}\u{738b}\u{738b}\u{738b}\u{738b}\u{738b}\u{738b}\u{738b}\u{738b}\u{738b}",
        &mine[..40],
    ] {
        assert_eq!(
            book.redeem(nonce, 1, at(0), HOME),
            NonceVerdict::Foreign,
            "{nonce}"
        );
    }
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));
    assert_eq!(
        book.redeem(&mine, 1, at(0), elsewhere),
        NonceVerdict::Foreign,
        "another's"
    );
    let of_network = |host: u16| IpAddr::V6([0x2001, 0xdb8, 0, 1, 0, 0, 0, host].into());
    let nonce = book.issue(at(0), of_network(1));
    assert_eq!(
        book.redeem(&nonce, 1, at(0), of_network(2)),
        NonceVerdict::Fresh
    );
}

#[test]
fn the_book_is_bounded_and_forgetting_opens_no_replay() {
    let mut book = NonceBook::with_capacity([7; 32], Duration::from_secs(60), 3);
    let nonces: Vec<String> = (0..5).map(|second| book.issue(at(second), HOME)).collect();
    for nonce in &nonces {
        assert_eq!(book.redeem(nonce, 1, at(5), HOME), NonceVerdict::Fresh);
        assert!(book.len() <= 3);
    }
    assert_eq!(
        book.redeem(&nonces[0], 1, at(6), HOME),
        NonceVerdict::Stale,
        "forgotten, hence stale"
    );
    assert_eq!(book.redeem(&nonces[1], 5, at(6), HOME), NonceVerdict::Stale);
    assert_eq!(
        book.redeem(&nonces[4], 1, at(6), HOME),
        NonceVerdict::Replayed
    );
    let late = book.issue(at(100), HOME);
    assert_eq!(book.redeem(&late, 1, at(100), HOME), NonceVerdict::Fresh);
    assert_eq!(book.len(), 1, "what has expired is gone");
}

proptest! {
    #[test]
    fn client_and_server_agree(user in "\\PC{1,12}", realm in "\\PC{0,12}", password in "\\PC{0,12}", nc in 1u32.., sha: bool) {
        let algorithm = if sha { Algorithm::Sha256 } else { Algorithm::Md5 };
        let mut book = NonceBook::new([1; 32], Duration::from_secs(60));
        let asked = DigestChallenge::parse(&challenge(&realm, &book.issue(at(0), HOME), "o", false, algorithm)).unwrap();
        prop_assert_eq!(&asked.realm, &realm);
        let key = ha1(&user, &realm, &password, algorithm);
        let written = ClientAuth { challenge: &asked, username: &user, ha1: &key, method: &Method::Register, uri: "sip:h", nc, cnonce: "c" }.to_string();
        let read = DigestResponse::parse(&written).unwrap();
        prop_assert!(read.verify(&key, &Method::Register));
        prop_assert_eq!(&read.username, &user);
        prop_assert_eq!(book.redeem(&read.nonce, read.nc, at(1), HOME), NonceVerdict::Fresh);
    }

    #[test]
    fn no_text_panics(text in "(Digest )?[a-z =\",\\\\é]{0,60}") {
        let _ = DigestResponse::parse(&text);
        let _ = DigestChallenge::parse(&text);
        let _ = NonceBook::new([1; 32], Duration::ZERO).peek(&text, 1, at(0), HOME);
    }
}
