//! Signs a call for AWS (Signature Version 4): with a key for one day, one region and one service, so that whoever sees the call can
//! make no other.

use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::hmac;
use url::Url;

use crate::action::connections::{Aws, UnsignedCall};
use crate::model::hash::hash;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What AWS leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The headers of a rule that are signed, besides those of AWS: what they say must not be changed on the way.
const SIGNED: [&str; 3] = ["content-type", "content-md5", "range"];

/// The address with its query as AWS reads it: sorted, and with `%20` for a space.
pub fn address(url: &Url) -> Url {
    let mut url = url.clone();
    if url.query().is_some() {
        url.set_query(Some(&query(&url)).filter(|query| !query.is_empty()).map(String::as_str));
    }
    url
}

/// The headers that a call needs in addition.
pub fn headers(aws: &Aws, call: &UnsignedCall) -> Vec<(String, String)> {
    let date = call.at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut added = vec![("x-amz-date".to_owned(), date.clone()), ("x-amz-content-sha256".to_owned(), hash(call.body))];
    added.extend(aws.session_token.iter().map(|token| ("x-amz-security-token".to_owned(), token.reveal().to_owned())));
    let host = call.url.host_str().unwrap_or_default();
    let host = call.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let is_signed = |name: &str| SIGNED.contains(&name) || name.starts_with("x-amz-");
    let own = call.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let own = own.filter(|(name, _)| is_signed(name) && !added.iter().any(|(added, _)| added == name));
    let signed: Vec<(String, String)> = own.chain(added.iter().cloned()).chain([("host".to_owned(), host)]).collect();
    let is_s3 = aws.service == "s3";
    let authorization = authorization(aws, call.method, &path(call.url, is_s3), &query(call.url), &signed, call.body, &date);
    added.push(("authorization".to_owned(), authorization));
    added
}

/// The path as it is signed: encoded once more than it is sent, but not for S3.
fn path(url: &Url, is_s3: bool) -> String {
    let each = |segment: &str| match is_s3 {
        true => utf8_bytes(&percent_decode_str(segment).collect::<Vec<u8>>()),
        false => utf8_percent_encode(segment, ENCODED).to_string(),
    };
    url.path().split('/').map(each).collect::<Vec<_>>().join("/")
}

fn utf8_bytes(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, ENCODED).to_string()
}

/// The query as it is signed, and sent.
fn query(url: &Url) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let mut pairs: Vec<(String, String)> = url.query_pairs().map(|(name, value)| (encoded(&name), encoded(&value))).collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn authorization(aws: &Aws, method: &str, path: &str, query: &str, headers: &[(String, String)], body: &[u8], date: &str) -> String {
    let mut sorted: Vec<(&str, String)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.split_whitespace().collect::<Vec<_>>().join(" "))).collect();
    sorted.sort_by_key(|(name, _)| *name);
    let names = sorted.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{}", hash(body));
    let day = date.split('T').next().unwrap_or_default();
    let scope = format!("{day}/{}/{}/aws4_request", aws.region, aws.service);
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hash(request.as_bytes()));
    let tag = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let first = format!("AWS4{}", aws.secret_access_key.reveal()).into_bytes();
    let key = [day, &aws.region, &aws.service, "aws4_request"].iter().fold(first, |key, text| tag(&key, text).as_ref().to_vec());
    let signature: String = tag(&key, &to_sign).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", aws.access_key_id.reveal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn key(region: &str, service: &str, id: &str, secret: &str) -> Aws {
        Aws {
            region: region.to_owned(),
            service: service.to_owned(),
            access_key_id: Secret::new(id),
            secret_access_key: Secret::new(secret),
            session_token: None,
        }
    }

    fn headers_of(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn signature(authorization: &str) -> &str {
        authorization.rsplit("Signature=").next().unwrap()
    }

    /// From the test suite that AWS publishes for Signature Version 4.
    #[test]
    fn requests_of_the_test_suite_get_its_signatures() {
        let aws = key("us-east-1", "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let date = "20150830T123600Z";
        let signed = |method: &str, url: &str, more: &[(&str, &str)], body: &str| {
            let url = url.parse().unwrap();
            let all = [more, &[("host", "example.amazonaws.com"), ("x-amz-date", date)]].concat();
            authorization(&aws, method, &path(&url, false), &query(&url), &headers_of(&all), body.as_bytes(), date)
        };
        assert_eq!(
            signed("GET", "https://example.amazonaws.com/", &[], ""),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        let form = ("content-type", "application/x-www-form-urlencoded");
        for (method, url, more, body, expected) in [
            ("POST", "/", vec![], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            ("GET", "/?Param2=value2&Param1=value1", vec![], "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
            ("POST", "/", vec![form], "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
            // Signed by botocore: what is encoded in an address is encoded once more.
            (
                "POST",
                "/a%20b/%C3%BC/c+d?b=2&a=x%20y&a=1",
                vec![("content-type", "application/json"), ("x-amz-security-token", "tok")],
                "{\"a\":1}",
                "639fe1b8ae66c7dff5d3beb4ca00280e097c40a5f23d47ea7aa1147f98d21d1b",
            ),
        ] {
            let got = signed(method, &format!("https://example.amazonaws.com{url}"), &more, body);
            assert_eq!(signature(&got), expected, "{method} {url}");
        }
    }

    /// From "Signature Calculations for the Authorization Header" in the documentation of S3.
    #[test]
    fn requests_to_s3_get_the_signatures_of_its_documentation() {
        let aws = key("us-east-1", "s3", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let at = "2013-05-24T00:00:00Z".parse().unwrap();
        let added = |url: &str, more: &[(&str, &str)]| {
            let (url, own) = (address(&url.parse().unwrap()), headers_of(more));
            headers(&aws, &UnsignedCall { method: "GET", url: &url, headers: &own, body: b"", id: "", at })
        };
        let got = added("https://examplebucket.s3.amazonaws.com/test.txt", &[("Range", "bytes=0-9"), ("Accept", "*/*")]);
        let names: Vec<&str> = got.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-amz-date", "x-amz-content-sha256", "authorization"]);
        assert_eq!(
            got[2].1,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        for (url, expected) in [
            ("?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("?prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let got = added(&format!("https://examplebucket.s3.amazonaws.com/{url}"), &[]);
            assert_eq!(signature(&got[2].1), expected, "{url}");
        }
        let (body, date) = ("Welcome to Amazon S3.", "20130524T000000Z");
        let all = headers_of(&[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", &hash(body.as_bytes())),
            ("x-amz-date", date),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ]);
        let url = "https://examplebucket.s3.amazonaws.com/test$file.text".parse().unwrap();
        let got = authorization(&aws, "PUT", &path(&url, true), &query(&url), &all, body.as_bytes(), date);
        assert_eq!(signature(&got), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    }

    #[test]
    fn a_query_is_sent_as_it_is_signed() {
        let sent = |url: &str| address(&url.parse().unwrap()).to_string();
        assert_eq!(sent("https://a.example/?b=x+y&a=%7e*&c"), "https://a.example/?a=~%2A&b=x%20y&c=");
        assert_eq!(sent("https://a.example/x"), "https://a.example/x");
        assert_eq!(sent("https://a.example/x?"), "https://a.example/x");
    }
}
