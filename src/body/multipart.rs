//! Converts `multipart/form-data` to the value that rules see: fields as text, files as `name`, `size`, `type` and `base64`.

use base64::Engine as _;
use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Map, Value, json};

use super::json::read_payload;
use super::limits::MAX_FORM_NAMES;
use crate::model::event::gather;

/// Parses a form; the error describes what is wrong with it.
pub(super) fn read(content_type: &str, raw: &[u8]) -> Result<Value, String> {
    let boundary = multer::parse_boundary(content_type).map_err(|e| e.to_string())?;
    let raw = Bytes::copy_from_slice(raw);
    let all = futures_util::stream::once(async move { Ok::<_, std::convert::Infallible>(raw) });
    let form = multer::Multipart::new(all, boundary);
    // Everything is in memory, so this never waits.
    gathered(form).now_or_never().unwrap_or_else(|| Err("it is incomplete".into()))
}

async fn gathered(mut form: multer::Multipart<'_>) -> Result<Value, String> {
    let mut fields = Map::new();
    let mut count = 0;
    while let Some(field) = form.next_field().await.map_err(|e| e.to_string())? {
        count += 1;
        if count > MAX_FORM_NAMES {
            return Err(format!("it has more than {MAX_FORM_NAMES} fields"));
        }
        let name = field.name().unwrap_or("").to_owned();
        let file = field.file_name().map(str::to_owned);
        let kind = field.content_type().map(ToString::to_string);
        let value = match file {
            Some(file) => {
                let bytes = field.bytes().await.map_err(|e| e.to_string())?;
                let kind = kind.unwrap_or_else(|| "application/octet-stream".into());
                let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
                json!({ "name": file, "size": bytes.len(), "type": kind, "base64": base64 })
            }
            // Decodes the text by the part's own charset.
            None => Value::from(field.text().await.map_err(|e| e.to_string())?),
        };
        gather(&mut fields, &name, value);
    }
    read_payload(&mut fields)?;
    Ok(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_text_and_files_have_a_name_size_and_type() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\na\r\n--x\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\nb\r\n\
            --x\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n";
        let expected = json!({"to": ["a", "b"], "doc": {"name": "a.txt", "size": 5, "type": "text/plain", "base64": "aGVsbG8="}});
        assert_eq!(read("multipart/form-data; boundary=x", body.as_bytes()), Ok(expected));
        assert!(read("multipart/form-data", body.as_bytes()).is_err());
        assert!(read("multipart/form-data; boundary=x", &body.as_bytes()[..60]).is_err());
    }
}
