//! The torture messages of RFC 4475: what is well-formed is read right, what is not is refused with the right status.

use bytes::Bytes;
use sip::message::{FieldError, HeaderName, Host, Message, Method, ParseError, Scheme};

/// Lines joined by CRLF; text after `\n\n` is the body.
fn wire(text: &str) -> Bytes {
    Bytes::from(text.replace('\n', "\r\n"))
}

fn parse(text: &str) -> Message {
    Message::parse(wire(text)).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

fn refused(text: &str) -> ParseError {
    Message::parse(wire(text))
        .err()
        .unwrap_or_else(|| panic!("was taken:\n{text}"))
}

fn ill_typed(text: &str) -> FieldError {
    parse(text).check().expect_err("every field was taken")
}

/// 3.1.1.1
#[test]
fn a_short_tortuous_invite() {
    let message = parse(
        r#"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 150
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.3
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
"#,
    );
    message.check().unwrap();
    let to = message.to().unwrap();
    assert_eq!(
        (to.uri_text, to.tag()),
        ("sip:vivekg@chair-dnrc.example.com", Some("1918181833n"))
    );
    let from = message.from().unwrap();
    assert_eq!(
        (from.display().as_deref(), from.tag()),
        Some("J Rosenberg \\\"")
            .map(|name| (Some(name), Some("98asjd8")))
            .unwrap()
    );
    assert_eq!(message.max_forwards().unwrap(), Some(68));
    assert_eq!(message.cseq().unwrap(), (9, Method::Invite));
    assert_eq!(message.header(HeaderName::Subject), Some(""));
    assert_eq!(
        message.header_named("newfangledheader"),
        Some("newfangled value   continued newfangled value")
    );
    assert_eq!(
        message.header_named("UnknownHeaderWithUnusualValue"),
        Some(";;,,;;,;")
    );
    assert_eq!(
        message.request_uri().unwrap().param("unknownparam"),
        Some("")
    );
    assert!(message.routes().next().unwrap().unwrap().uri.is_loose());
    let vias: Vec<_> = message.vias().map(Result::unwrap).collect();
    let branches: Vec<_> = vias.iter().map(|via| via.branch().unwrap()).collect();
    assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
    assert_eq!(
        (vias[1].host, vias[1].transport_text),
        (Host::Name("spindle.example.com"), "TCP")
    );
    let contact = message.contacts().next().unwrap().unwrap();
    assert_eq!(contact.display().as_deref(), Some("Quoted string \"\""));
    assert_eq!(
        (
            contact.params.get("newparam"),
            contact.params.get("secondparam"),
            contact.q()
        ),
        (Some("newvalue"), Some(""), 330)
    );
    assert_eq!(message.body().len(), 150);
}

/// 3.1.1.2
#[test]
fn a_wide_range_of_valid_characters() {
    let message = parse(concat!(
        "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\n",
        "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n",
        "To: \"BEL:\\\u{7} NUL:\\\u{0} DEL:\\\u{7f}\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\n",
        "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.\n",
        "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\n",
        "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\n",
        "Max-Forwards: 255\n",
        "extensionHeader-!.%*+_`'~: 大停電\n",
        "Content-Length: 0\n\n",
    ));
    message.check().unwrap();
    let method = message.method().unwrap();
    assert_eq!(
        (method.as_str(), method.label()),
        ("!interesting-Method0123456789_*+`.%indeed'~", "OTHER")
    );
    let uri = message.request_uri().unwrap();
    assert_eq!(
        uri.raw_user,
        Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    );
    assert_eq!(
        uri.password,
        Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    );
    assert_eq!(
        message.to().unwrap().display().as_deref(),
        Some("BEL:\u{7} NUL:\u{0} DEL:\u{7f}")
    );
    let from = message.from().unwrap();
    assert_eq!(
        from.display().as_deref(),
        Some("token1~` token2'+_ token3*%!.-")
    );
    assert_eq!(
        from.params.get("fromparam''~+*_!.-%"),
        Some("\"работающий\"")
    );
    assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
    assert_eq!(
        message.header_named("extensionHeader-!.%*+_`'~"),
        Some("大停電")
    );
    assert_eq!(
        message.call_id(),
        "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    );
}

/// 3.1.1.3
#[test]
fn valid_use_of_the_percent_escape() {
    let message = parse(
        "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0
To: sip:%75se%72@example.com
From: <sip:I%20have%20spaces@example.net>;tag=938
Max-Forwards: 87
i: esc01.239409asdfakjkn23onasd0-3234
CSeq: 234234 INVITE
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw
C: application/sdp
Contact:
  <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>
Content-Length: 0

",
    );
    message.check().unwrap();
    assert_eq!(
        message.request_uri().unwrap().user().as_deref(),
        Some("sips:user@example.com")
    );
    assert_eq!(message.to().unwrap().uri.user().as_deref(), Some("user"));
    assert_eq!(
        message.from().unwrap().uri.user().as_deref(),
        Some("I have spaces")
    );
    let contact = message.contacts().next().unwrap().unwrap();
    assert!(!contact.uri.is_loose(), "an escaped lr is not lr");
    assert_eq!(sip::message::unescape("v%61lue%25%34%31"), "value%41");
}

/// 3.1.1.4
#[test]
fn escaped_nulls_in_uris() {
    let message = parse(
        "REGISTER sip:example.com SIP/2.0
To: sip:null-%00-null@example.com
From: sip:null-%00-null@example.com;tag=839923423
Max-Forwards: 70
Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd
CSeq: 14398234 REGISTER
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw
Contact: <sip:%00@host5.example.com>
Contact: <sip:%00%00@host5.example.com>
L:0

",
    );
    message.check().unwrap();
    assert_eq!(
        message.to().unwrap().uri.user().as_deref(),
        Some("null-\0-null")
    );
    let contacts: Vec<_> = message.contacts().map(Result::unwrap).collect();
    assert_eq!(contacts.len(), 2);
    assert!(!contacts[0].uri.equivalent(&contacts[1].uri));
}

/// 3.1.1.5
#[test]
fn a_percent_that_is_no_escape() {
    let message = parse(
        "RE%47IST%45R sip:registrar.example.com SIP/2.0
To: \"%Z%45\" <sip:resource@example.com>
From: \"%Z%45\" <sip:resource@example.com>;tag=f232jadfj23
Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf
Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234
CSeq: 29344 RE%47IST%45R
Max-Forwards: 70
Contact: <sip:alias1@host1.example.com>
C%6Fntact: <sip:alias2@host2.example.com>
Contact: <sip:alias3@host3.example.com>
l: 0

",
    );
    message.check().unwrap();
    assert_eq!(
        message.method(),
        Some(&Method::Other("RE%47IST%45R".into()))
    );
    assert_eq!(message.to().unwrap().display().as_deref(), Some("%Z%45"));
    assert_eq!(message.contacts().count(), 2);
}

/// 3.1.1.6
#[test]
fn no_space_between_display_name_and_bracket() {
    let message = parse(
        "OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: caller<sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID: lwsdisp.1234abcd@funky.example.com
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw
l: 0

",
    );
    message.check().unwrap();
    assert_eq!(message.from().unwrap().display().as_deref(), Some("caller"));
}

/// 3.1.1.7
#[test]
fn long_values_in_headers() {
    let many = |part: &str, count: usize| part.repeat(count);
    let via = |number: usize| format!("SIP/2.0/TCP sip{number}.example.com");
    let text = format!(
        "INVITE sip:user@example.com SIP/2.0
To: \"I have a user name of {}\" <sip:user@example.com:6000;unknownparam1=very{}value;longparam{}name=shortvalue;very{}ParameterNameWithNoValue>
F: sip:amazinglylongcallername{}@example.net;tag=12{}424;unknownheaderparam{}name=unknowheaderparam{}value;unknownValueless{}paramname
Call-ID: longreq.one{}longcallid
CSeq: 3882340 INVITE
Unknown-{}-Name: unknown-{}-value
Via: {}
 , {};branch=very{}branchvalue
Max-Forwards: 70
Contact: <sip:amazinglylongcallername{}@host5.example.net>
Content-Type: application/sdp
l: 0

",
        many("extreme", 10), many("long", 20), many("long", 25), many("long", 25), many("l", 30), many("982", 50), many("long", 20),
        many("long", 15), many("long", 10), many("really", 20), many("Long", 20), many("long", 20), via(33),
        (0..33).map(via).collect::<Vec<_>>().join(", "), many("long", 50), many("l", 30),
    );
    let message = parse(&text);
    message.check().unwrap();
    assert_eq!(message.vias().map(Result::unwrap).count(), 34);
    assert!(
        message
            .vias()
            .last()
            .unwrap()
            .unwrap()
            .branch()
            .unwrap()
            .ends_with("longbranchvalue")
    );
    assert_eq!(message.to().unwrap().uri.port, Some(6000));
}

/// 3.1.1.8
#[test]
fn extra_octets_in_a_datagram_are_ignored() {
    let message = parse(
        "REGISTER sip:example.com SIP/2.0
To: sip:j.user@example.com
From: sip:j.user@example.com;tag=43251j3j324
Max-Forwards: 8
I: dblreq.0ha0isndaksdj99sdfafnl3lk233412
Contact: sip:j.user@host.example.com
CSeq: 8 REGISTER
Via: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492
Content-Length: 0


INVITE sip:joe@example.com SIP/2.0
t: sip:joe@example.com
",
    );
    assert_eq!(message.method(), Some(&Method::Register));
    assert!(message.body().is_empty());
    assert!(message.as_bytes().ends_with(b"Content-Length: 0\r\n\r\n"));
}

/// 3.1.1.9
#[test]
fn semicolons_in_the_user_part() {
    let message = parse(
        "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0
To: sip:j_user@example.com
From: sip:caller@example.org;tag=33242
Max-Forwards: 3
Call-ID: semiuri.0ha0isndaksdj
CSeq: 8 OPTIONS
Accept: application/sdp, application/pkcs7-mime,
        multipart/mixed, multipart/signed,
        message/sip, message/sipfrag
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw
l: 0

",
    );
    let uri = message.request_uri().unwrap();
    assert_eq!(uri.user().as_deref(), Some("user;par=u@example.net"));
    assert_eq!(uri.params().count(), 0);
    assert_eq!(message.values(HeaderName::Accept).count(), 6);
}

/// 3.1.1.10
#[test]
fn varied_and_unknown_transport_types() {
    let message = parse(
        "OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: <sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID:  transports.kijh4akdnaqjkwendsasfdj
Accept: application/sdp
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee
l: 0

",
    );
    let transports: Vec<_> = message.vias().map(|via| via.unwrap().transport()).collect();
    use sip::Transport::{Tcp, Tls, Udp};
    assert_eq!(transports, [Some(Udp), None, Some(Tls), None, Some(Tcp)]);
}

/// 3.1.1.11 in short: a body of several parts, one of them binary.
#[test]
fn a_binary_body_survives() {
    let head = wire(
        "MESSAGE sip:kumiko@example.org SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport
Max-Forwards: 70
Route: <sip:127.0.0.1:5080>
Call-ID: 3b47ddb3a4c23ff3
CSeq: 1 MESSAGE
From: \"fluffy\" <sip:fluffy@example.com>;tag=2fb0dcc9
To: <sip:kumiko@example.org>
Content-Type: multipart/mixed;boundary=7a9cbec02ceef655

",
    );
    let body: Vec<u8> = (0..=255).collect();
    let message = Message::parse([&head[..], &body[..]].concat().into()).unwrap();
    assert_eq!(message.body(), body);
    assert_eq!(message.top_via().unwrap().rport(), Some(None));
}

/// 3.1.1.12
#[test]
fn an_unusual_reason_phrase() {
    let message = parse(
        "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
Call-ID: unreason.1234ksdfak3j2erwedfsASdf
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: 0

",
    );
    assert_eq!(
        message.reason(),
        "= 2**3 * 5**2 но сто девяносто девять - простое"
    );
}

/// 3.1.1.13
#[test]
fn an_empty_reason_phrase() {
    for start in ["SIP/2.0 100 ", "SIP/2.0 100"] {
        let message = parse(&format!(
            "{start}
Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe
Call-ID: noreason.asndj203insdf99223ndf
CSeq: 35 INVITE
From: <sip:user@example.com>;tag=39ansfi3
To: <sip:user@example.edu>;tag=902jndnke3
Content-Length: 0
Contact: <sip:user@host105.example.com>

"
        ));
        assert_eq!((message.status(), message.reason()), (Some(100), ""));
    }
}

/// A request that is right but for what a test puts in.
fn with(start: &str, changed: &[(&str, &str)]) -> String {
    let method = start.split(' ').next().unwrap_or_default();
    let cseq = format!("8 {method}");
    let mut lines = vec![
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw"),
        ("To", "sip:j.user@example.com"),
        ("From", "sip:caller@example.net;tag=93942939o2"),
        ("Call-ID", "x.0ha0isndaksdj"),
        ("CSeq", cseq.as_str()),
        ("Max-Forwards", "70"),
        ("Content-Length", "0"),
    ];
    for (name, value) in changed {
        match lines.iter_mut().find(|line| line.0 == *name) {
            Some(line) => line.1 = value,
            None => lines.push((name, value)),
        }
    }
    let head: String = lines
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    format!("{start}\n{head}\n")
}

const INVITE: &str = "INVITE sip:user@example.com SIP/2.0";

/// 3.1.2.1
#[test]
fn extraneous_header_separators() {
    let error = ill_typed(&with(INVITE, &[("Via", "SIP/2.0/UDP 192.0.2.15;;,;,,")]));
    assert_eq!(error.field, "Via");
}

/// 3.1.2.2 and 3.1.2.3
#[test]
fn content_length_larger_than_the_message_or_negative() {
    assert_eq!(
        refused(&with(INVITE, &[("Content-Length", "9999")])),
        ParseError::ShortBody
    );
    assert_eq!(
        refused(&with(INVITE, &[("Content-Length", "-999")])),
        ParseError::ContentLength
    );
    assert_eq!(
        refused(&with(INVITE, &[("Content-Length", "4294967296")])),
        ParseError::ContentLength
    );
}

/// 3.1.2.4
#[test]
fn scalars_with_overlarge_values_in_a_request() {
    let number = "36893488147419103232";
    assert_eq!(
        refused(&with(
            "REGISTER sip:example.com SIP/2.0",
            &[("CSeq", &format!("{number} REGISTER"))]
        )),
        ParseError::CSeq
    );
    let message = parse(&with(
        "REGISTER sip:example.com SIP/2.0",
        &[
            ("Expires", "10000000000000"),
            (
                "Contact",
                "<sip:user@host129.example.com>;expires=280297596632815",
            ),
        ],
    ));
    assert_eq!(message.expires(), Some(u32::MAX));
    assert_eq!(
        message.contacts().next().unwrap().unwrap().expires(),
        Some(u32::MAX)
    );
    let error = ill_typed(&with(INVITE, &[("Max-Forwards", "300")]));
    assert_eq!(error.field, "Max-Forwards");
}

/// 3.1.2.5 and 3.1.2.19
#[test]
fn responses_with_overlarge_numbers() {
    let response = |start: &str, cseq: &str| {
        format!(
            "{start}\nVia: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw\nTo: <sip:user@example.com>\nFrom: <sip:other@example.net>;tag=2easdjfejw\nCSeq: {cseq}\nCall-ID: x\nl: 0\n\n"
        )
    };
    assert_eq!(
        refused(&response(
            "SIP/2.0 503 Service Unavailable",
            "9292394834772304023312 OPTIONS"
        )),
        ParseError::CSeq
    );
    assert_eq!(
        refused(&response(
            "SIP/2.0 4294967301 better not break the receiver",
            "353494 INVITE"
        )),
        ParseError::Status
    );
    assert_eq!(
        refused(&response("SIP/2.0 099 low", "353494 INVITE")),
        ParseError::Status
    );
    assert_eq!(
        refused(&response("SIP/2.0 2x0 odd", "353494 INVITE")),
        ParseError::StartLine
    );
}

/// 3.1.2.6
#[test]
fn an_unterminated_quoted_string() {
    let error = ill_typed(&with(
        INVITE,
        &[("To", "\"Mr. J. User <sip:j.user@example.com>")],
    ));
    assert_eq!(error.field, "To");
}

/// 3.1.2.7 to 3.1.2.10
#[test]
fn request_lines_that_are_wrong() {
    let error = ill_typed(&with("INVITE <sip:user@example.com> SIP/2.0", &[]));
    assert_eq!(error.field, "URI");
    assert_eq!(
        refused(&with("INVITE sip:user@example.com; lr SIP/2.0", &[])),
        ParseError::StartLine
    );
    assert_eq!(
        refused(&with(
            "INVITE  sip:user@example.com  SIP/2.0",
            &[("CSeq", "8 INVITE")]
        )),
        ParseError::StartLine
    );
    assert_eq!(
        refused(&with(
            "OPTIONS sip:remote-target@example.com SIP/2.0  ",
            &[]
        )),
        ParseError::StartLine
    );
}

/// 3.1.2.11
#[test]
fn escaped_headers_in_the_request_uri() {
    let error = ill_typed(&with(
        "INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0",
        &[],
    ));
    assert_eq!(error.field, "Request-URI");
}

/// 3.1.2.12: a Date without meaning for the request does no harm.
#[test]
fn an_invalid_time_zone_in_date() {
    parse(&with(INVITE, &[("Date", "Fri, 01 Jan 2010 16:00:00 EST")]))
        .check()
        .unwrap();
}

/// 3.1.2.13 and 3.1.2.14
#[test]
fn addresses_that_need_angle_brackets() {
    let message = parse(&with(
        "REGISTER sip:example.com SIP/2.0",
        &[(
            "Contact",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        )],
    ));
    assert!(message.contacts().next().unwrap().is_err());
    let error = ill_typed(&with(
        "OPTIONS sip:user@example.org SIP/2.0",
        &[("From", "sip:spaced caller@example.org;tag=1")],
    ));
    assert_eq!(error.field, "From");
    let error = ill_typed(&with(
        "OPTIONS sip:user@example.org SIP/2.0",
        &[(
            "To",
            "\"Watson, Thomas\" < sip:t.watson@example.org >, <sip:b@c>",
        )],
    ));
    assert_eq!(error.field, "To");
}

/// 3.1.2.15: outside quotes only tokens may stand in a display name; commas there would cut a list.
#[test]
fn characters_that_are_no_token_in_a_display_name() {
    let error = ill_typed(&with(
        "OPTIONS sip:t.watson@example.org SIP/2.0",
        &[("From", "Bell, Alexander <sip:a.g.bell@example.com>;tag=43")],
    ));
    assert_eq!(error.field, "From");
}

/// 3.1.2.16
#[test]
fn an_unknown_protocol_version() {
    let error = refused(&with("OPTIONS sip:t.watson@example.org SIP/7.0", &[]));
    assert_eq!((error, error.status()), (ParseError::Version, 505));
}

/// 3.1.2.17 and 3.1.2.18
#[test]
fn start_line_and_cseq_disagree() {
    assert_eq!(
        refused(&with(
            "OPTIONS sip:user@example.com SIP/2.0",
            &[("CSeq", "8 INVITE")]
        )),
        ParseError::CSeqMethod
    );
    assert_eq!(
        refused(&with(
            "NEWMETHOD sip:user@example.com SIP/2.0",
            &[("CSeq", "8 INVITE")]
        )),
        ParseError::CSeqMethod
    );
}

/// 3.2.1: a branch that is nothing but the cookie.
#[test]
fn a_missing_transaction_identifier() {
    let message = parse(&with(
        "OPTIONS sip:user@example.com SIP/2.0",
        &[("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK")],
    ));
    assert_eq!(message.top_via().unwrap().branch(), Some("z9hG4bK"));
}

/// 3.3.1
#[test]
fn missing_required_headers() {
    let text = "INVITE sip:user@example.com SIP/2.0\nCSeq: 193942 INVITE\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\nContent-Type: application/sdp\nl: 0\n\n";
    assert_eq!(refused(text), ParseError::Missing("From"));
}

/// 3.3.2 to 3.3.4
#[test]
fn unknown_schemes_are_read_as_such() {
    let message = parse(&with(
        "OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0",
        &[("To", "isbn:2983792873")],
    ));
    message.check().unwrap();
    let uri = message.request_uri().unwrap();
    assert_eq!(
        (uri.scheme, uri.opaque),
        (
            Scheme::Other("nobodyKnowsThisScheme"),
            "totallyopaquecontent"
        )
    );
    let message = parse(&with("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", &[]));
    assert_eq!(
        message.request_uri().unwrap().scheme,
        Scheme::Other("soap.beep")
    );
    let message = parse(&with(
        "INVITE tel:+1-201-555-0123;phone-context=example.com SIP/2.0",
        &[],
    ));
    assert_eq!(
        message.request_uri().unwrap().user().as_deref(),
        Some("+1-201-555-0123")
    );
}

/// 3.3.8 and 3.3.9
#[test]
fn single_valued_headers_that_come_twice() {
    for (name, value) in [
        ("Call-ID ", "other"),
        ("CSeq ", "59 INVITE"),
        ("From ", "sip:a@b;tag=1"),
        ("t", "sip:b@c"),
    ] {
        let error = refused(&with(INVITE, &[(name, value)]));
        assert!(matches!(error, ParseError::Repeated(_)), "{name}: {error}");
    }
    assert_eq!(
        refused(&with(INVITE, &[("l", "3")])),
        ParseError::Repeated("Content-Length")
    );
}

/// 3.3.12
#[test]
fn max_forwards_of_zero() {
    assert_eq!(
        parse(&with(INVITE, &[("Max-Forwards", "0")])).max_forwards(),
        Ok(Some(0))
    );
}

/// 3.3.13 and 3.3.14
#[test]
fn register_contacts_with_parameters_and_escaped_headers() {
    let message = parse(&with(
        "REGISTER sip:example.com SIP/2.0",
        &[("Contact", "<sip:+19725552222@gw1.example.net;unknownparam>")],
    ));
    assert_eq!(
        message
            .contacts()
            .next()
            .unwrap()
            .unwrap()
            .uri
            .param("unknownparam"),
        Some("")
    );
    let message = parse(&with(
        "REGISTER sip:example.com SIP/2.0",
        &[("Contact", "sip:+19725552222@gw1.example.net;unknownparam")],
    ));
    let contact = message.contacts().next().unwrap().unwrap();
    assert_eq!(
        (
            contact.uri.param("unknownparam"),
            contact.params.get("unknownparam")
        ),
        (None, Some(""))
    );
    let message = parse(&with(
        "REGISTER sip:example.com SIP/2.0",
        &[(
            "Contact",
            "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
        )],
    ));
    assert_eq!(
        message
            .contacts()
            .next()
            .unwrap()
            .unwrap()
            .uri
            .headers()
            .count(),
        1
    );
}

/// 3.4.1
#[test]
fn an_invite_of_the_old_kind() {
    let message = parse(
        "INVITE sip:UserB@example.com SIP/2.0
Via: SIP/2.0/UDP iftgw.example.com
From: <sip:+13035551111@ift.client.example.net;user=phone>
Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>
To: sip:+16505552222@ss1.example.net;user=phone
Call-ID: inv2543.1717@ift.client.example.com
CSeq: 56 INVITE
Content-Type: application/sdp

v=0
",
    );
    message.check().unwrap();
    assert_eq!(
        (
            message.top_via().unwrap().branch(),
            message.from().unwrap().tag()
        ),
        (None, None)
    );
    assert_eq!(message.max_forwards(), Ok(None));
    assert_eq!(message.body(), "v=0\r\n");
}

/// RFC 5118 sections 4.1 to 4.6.
#[test]
fn ipv6_references() {
    let message = parse(&with(
        "REGISTER sip:[2001:db8::10] SIP/2.0",
        &[
            (
                "Via",
                "SIP/2.0/UDP [2001:db8::9:1]:5070;received=[2001:db8::9:255];branch=z9hG4bKas3-111",
            ),
            ("Contact", "\"Caller\" <sip:caller@[2001:db8::1]>"),
        ],
    ));
    message.check().unwrap();
    let via = message.top_via().unwrap();
    assert_eq!(
        (via.host.to_string().as_str(), via.port),
        ("[2001:db8::9:1]", Some(5070))
    );
    assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
    let error = ill_typed(&with("REGISTER sip:2001:db8::10 SIP/2.0", &[]));
    assert_eq!(error.field, "URI");
}
