//! Hands a message to a server (SMTP): over an encrypted connection to an address that the guard has checked. A server that does
//! not answer is left alone for a while, as one that is called over HTTP.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;

use super::message::Sendable;
use super::not_sent::{NotSent, sorted};
use crate::action::connections::{Security, Smtp};
use crate::action::http::client::Net;
use crate::action::http::own_ca::OwnCa;
use crate::text::count;

/// How long an address of a server has to answer before the next one is tried.
const CONNECT: Duration = Duration::from_secs(10);

/// Sends a message, when it is its turn.
pub(super) async fn send(net: &Net, smtp: &Smtp, message: &Sendable) -> Result<(), NotSent> {
    let host = net.server(&format!("{}:{}", smtp.host, smtp.port));
    let turn = net.turn(&host, Instant::now()).await?;
    let talked = async {
        let mut connection = connect(net, smtp).await?;
        let sent = talk(&mut connection, message).await;
        if sent.is_ok() {
            // The message is taken; whether the server says goodbye does not matter.
            let _ = tokio::time::timeout(CONNECT, connection.quit()).await;
        }
        sent
    };
    let sent = talked.await;
    match &sent {
        Err(NotSent::Again(why, None)) => {
            if turn.was_silent() {
                tracing::warn!(server = smtp.host, "server did not answer several times in a row; it is left alone for a while: {why}");
            }
        }
        _ => drop(turn.answered()),
    }
    sent
}

/// Connects, encrypts and logs in.
async fn connect(net: &Net, smtp: &Smtp) -> Result<AsyncSmtpConnection, NotSent> {
    let hello = ClientId::Domain(domain(&smtp.from).to_owned());
    let addresses = net.addresses(&smtp.host, smtp.port).await?;
    let tls = match smtp.security {
        Security::None => None,
        Security::Tls | Security::StartTls => Some(tls(&smtp.host, net.own_ca()).map_err(|why| NotSent::Again(why, None))?),
    };
    let wrapper = tls.clone().filter(|_| smtp.security == Security::Tls);
    let mut connection = first(&addresses, &hello, wrapper).await?;
    if let (Security::StartTls, Some(tls)) = (smtp.security, tls) {
        if !connection.can_starttls() {
            return Err(NotSent::Never(
                "the server offers no encryption (STARTTLS); use smtps://, or `tls: none` in your own network".into(),
                None,
            ));
        }
        connection.starttls(tls, &hello).await.map_err(sorted)?;
    }
    if let Some((user, password)) = &smtp.login {
        let login = Credentials::new(user.reveal().to_owned(), password.reveal().to_owned());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &login).await.map_err(sorted)?;
    }
    Ok(connection)
}

/// A connection to the first address that answers.
async fn first(addresses: &[SocketAddr], hello: &ClientId, tls: Option<TlsParameters>) -> Result<AsyncSmtpConnection, NotSent> {
    let mut last = NotSent::Again("its name has no address".to_owned(), None);
    for address in addresses {
        let connecting = AsyncSmtpConnection::connect_tokio1(*address, Some(CONNECT), hello, tls.clone(), None);
        match connecting.await {
            Ok(connection) => return Ok(connection),
            Err(e) => last = sorted(e),
        }
    }
    Err(last)
}

/// Hands over the message. Nobody gets it if some recipient can only be told later, so that a later try does not send it twice.
async fn talk(connection: &mut AsyncSmtpConnection, message: &Sendable) -> Result<(), NotSent> {
    let mut options = Vec::new();
    let supports = |connection: &AsyncSmtpConnection, what| connection.server_info().supports_feature(what);
    if message.to.iter().chain([&message.from]).any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
        if !supports(connection, Extension::SmtpUtfEight) {
            return Err(NotSent::Never("the server takes no addresses with letters beyond ASCII".into(), None));
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !message.bytes.is_ascii() && supports(connection, Extension::EightBitMime) {
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    connection.command(Mail::new(Some(message.from.clone()), options)).await.map_err(sorted)?;
    let mut refused = Vec::new();
    for to in &message.to {
        match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(e) if e.is_permanent() => refused.push((to.to_string(), e)),
            Err(e) => return Err(sorted(e)),
        }
    }
    let status = refused.first().and_then(|(_, e)| e.status()).map(u16::from);
    let because = refused.iter().map(|(to, e)| format!("{to} ({})", e.status().map_or_else(|| e.to_string(), |code| code.to_string())));
    let because = because.collect::<Vec<_>>().join(", ");
    if refused.len() == message.to.len() {
        return Err(NotSent::Never(format!("the server refused {because}"), status));
    }
    connection.command(Data).await.map_err(sorted)?;
    let _: Response = connection.message(&message.bytes).await.map_err(sorted)?;
    match refused.len() {
        0 => Ok(()),
        some => {
            let others = count::number(message.to.len() - some, "other");
            Err(NotSent::Never(format!("the server refused {because}; {others} got the message"), status))
        }
    }
}

/// Connects and logs in, and sends nothing. The error is a message for people.
pub async fn try_out(net: &Net, smtp: &Smtp, timeout: Duration) -> Result<(), String> {
    let trying = async {
        let mut connection = connect(net, smtp).await?;
        let _ = connection.quit().await;
        Ok(())
    };
    match tokio::time::timeout(timeout, trying).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(NotSent::Again(why, _) | NotSent::Never(why, _))) => Err(why),
        Ok(Err(NotSent::Because(_))) => Err("it cannot be tried now".to_owned()),
        Err(_) => Err(format!("no answer within {} seconds", timeout.as_secs())),
    }
}

/// The domain of an address, for the greeting.
fn domain(from: &str) -> &str {
    crate::action::mailbox::parts(from).and_then(|(_, address)| address.rsplit_once('@')).map_or("localhost", |(_, domain)| domain)
}

/// What a connection trusts: the certificates of the system and the operator's own; if the system has none, the built-in ones.
fn tls(host: &str, own_ca: &OwnCa) -> Result<TlsParameters, String> {
    let own = || own_ca.certificates().filter_map(|der| Certificate::from_der(der.to_vec()).ok());
    let with = |builder: TlsParametersBuilder| own().fold(builder, TlsParametersBuilder::add_root_certificate);
    with(TlsParameters::builder(host.to_owned())).build_rustls().or_else(|_| {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der.to_vec()).ok());
        let builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
        with(roots.fold(builder, TlsParametersBuilder::add_root_certificate))
            .build_rustls()
            .map_err(|e| format!("TLS cannot be set up: {e}"))
    })
}
