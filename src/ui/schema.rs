//! Checks JSON against the schemas in `docs/`, as far as those go: the keywords they use, and a
//! panic for any other, so that nothing is passed unseen.

use regex::Regex;
use serde_json::Value;

/// Checks one line of JSON; panics with the place of the first violation.
pub(super) fn assert_valid(schema_name: &str, line: &str) {
    let value: Value = serde_json::from_str(line).unwrap();
    assert!(line.ends_with('\n') && line.trim_end().lines().count() == 1);
    if let Err(violation) = check(schema_name, &load(schema_name), &value, "$") {
        panic!("{schema_name}: {violation}\n{value:#}");
    }
}

fn load(name: &str) -> Value {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn check(document: &str, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let fits = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "required" => true,
            "$ref" => return check_reference(document, rule.as_str().unwrap(), value, at),
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => has_type(rule.as_str().unwrap(), value),
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "oneOf" => {
                let options = rule.as_array().unwrap().iter();
                let results: Vec<_> = options.map(|o| check(document, o, value, at)).collect();
                if results.iter().filter(|result| result.is_ok()).count() != 1 {
                    return Err(format!("{at}: not one of {results:#?}"));
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "properties" => {
                check_properties(document, schema, value, at)?;
                true
            }
            "additionalProperties" => rule == &Value::Bool(false),
            other => panic!("unknown keyword {other}"),
        };
        if !fits {
            return Err(format!("{at}: {value} against {keyword} {rule}"));
        }
    }
    Ok(())
}

fn check_reference(document: &str, to: &str, value: &Value, at: &str) -> Result<(), String> {
    let (file, pointer) = to.split_once('#').unwrap();
    let file = if file.is_empty() { document } else { file };
    let schemas = load(file);
    let target = schemas.pointer(pointer).unwrap_or_else(|| panic!("{to}"));
    check(file, target, value, at)
}

fn check_properties(document: &str, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(object) = value.as_object() else {
        return Err(format!("{at}: not an object"));
    };
    let properties = schema["properties"].as_object().unwrap();
    for name in schema["required"].as_array().unwrap() {
        if !object.contains_key(name.as_str().unwrap()) {
            return Err(format!("{at}: {name} is missing"));
        }
    }
    for (name, item) in object {
        let rule = properties
            .get(name)
            .ok_or_else(|| format!("{at}: unknown {name}"))?;
        check(document, rule, item, &format!("{at}.{name}"))?;
    }
    Ok(())
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    }
}
