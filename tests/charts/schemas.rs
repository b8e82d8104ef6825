//! JSON schemas for kubeconform, from what API servers say of their objects:
//! the definitions of core Kubernetes, and those of custom resources.
//!
//! Invariant: an object with known fields is closed, so that a field which the
//! server would drop in silence is an error.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Map, Value, json};

use super::{
    chart::{entries, tool, yaml},
    render::{items, map, text},
};

/// `apiVersion` and `kind`.
pub(crate) type Type = (String, String);

/// Writes the schemas of these types where kubeconform looks for them, by
/// `GROUP/KIND_VERSION.json`. A type that nobody defines gets none.
pub(crate) fn write(folder: &Path, types: &BTreeSet<Type>) {
    let core = core(&tool("schemas").join("kubernetes.json"));
    let mut custom = BTreeMap::new();
    let own = tool("keda-manifests").join("crd/bases");
    for path in entries(tool("schemas")).into_iter().chain(entries(&own)) {
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path).unwrap();
            // kustomize's own file is no definition.
            if text.contains("kind: CustomResourceDefinition") && mentions(&text, types) {
                let value =
                    yaml(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                custom.extend(versions(&value));
            }
        }
    }
    for (api, kind) in types {
        let schema = core
            .schema(api, kind)
            .or_else(|| custom.remove(&(api.clone(), kind.clone())));
        let Some(schema) = schema else { continue };
        let (group, version) = api.split_once('/').unwrap_or((api, api));
        fs::create_dir_all(folder.join(group)).unwrap();
        let file = format!("{group}/{}_{version}.json", kind.to_lowercase());
        fs::write(folder.join(file), schema.to_string()).unwrap();
    }
}

/// Large definitions that nobody asks for are not read.
fn mentions(text: &str, types: &BTreeSet<Type>) -> bool {
    types
        .iter()
        .any(|(_, kind)| text.contains(&format!("kind: {kind}\n")))
}

/// The definitions of core Kubernetes.
struct Core {
    definitions: Map<String, Value>,
}

fn core(path: &Path) -> Core {
    let text = fs::read_to_string(path).unwrap();
    let mut all: Value = serde_json::from_str(&text).unwrap();
    let Value::Object(definitions) = all["definitions"].take() else {
        panic!("{} has no definitions", path.display());
    };
    Core { definitions }
}

// === impl Core ===

impl Core {
    /// The schema of a type, with whatever it refers to.
    fn schema(&self, api: &str, kind: &str) -> Option<Value> {
        let (group, version) = api.split_once('/').unwrap_or(("", api));
        let wanted = json!([{"group": group, "kind": kind, "version": version}]);
        let mut names = self.definitions.iter();
        let (name, _) = names.find(|(_, one)| one["x-kubernetes-group-version-kind"] == wanted)?;
        let mut reached = Map::new();
        let mut open = vec![name.clone()];
        while let Some(name) = open.pop() {
            if !reached.contains_key(&name) {
                let mut definition = self.definitions[&name].clone();
                known(&name, &mut definition);
                close(&mut definition);
                references(&definition, &mut open);
                reached.insert(name, definition);
            }
        }
        Some(json!({"$ref": format!("#/definitions/{name}"), "definitions": reached}))
    }
}

/// Types whose JSON is not what their definition says.
fn known(name: &str, definition: &mut Value) {
    if name.ends_with(".IntOrString") || name.ends_with(".Quantity") {
        *definition = json!({"type": ["string", "number"]});
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                found.push(name.trim_start_matches("#/definitions/").to_owned());
            }
            map.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

/// The schema of each version that a definition serves.
fn versions(definition: &Value) -> Vec<(Type, Value)> {
    let (group, kind) = (
        text(definition, "/spec/group"),
        text(definition, "/spec/names/kind"),
    );
    let served = items(definition, "/spec/versions").iter();
    let schema = |version: &Value| {
        let mut schema = version.pointer("/schema/openAPIV3Schema")?.clone();
        close(&mut schema);
        let api = format!("{group}/{}", text(version, "/name"));
        Some(((api, kind.to_owned()), schema))
    };
    served.filter_map(schema).collect()
}

/// Makes a schema as strict as the server, within the words of JSON Schema.
fn close(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    let marked = |object: &Map<String, Value>, mark: &str| {
        object.get(mark).is_some_and(|value| *value == true)
    };
    if marked(object, "x-kubernetes-int-or-string") {
        object.insert("type".to_owned(), json!(["string", "integer"]));
        object.remove("anyOf");
    }
    let open = marked(object, "x-kubernetes-preserve-unknown-fields")
        || object.contains_key("additionalProperties");
    if object.contains_key("properties") && !open {
        object.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if marked(object, "nullable")
        && let Some(Value::String(one)) = object.get("type")
    {
        let both = json!([one, "null"]);
        object.insert("type".to_owned(), both);
    }
    // What stands in allOf and the like only adds conditions: it closes nothing.
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(close);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            close(inner);
        }
    }
}

#[test]
fn schemas_are_closed_where_servers_are() {
    let mut schema = json!({
        "properties": {
            "metadata": {"type": "object"},
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "list": {"items": {"properties": {"a": {"type": "string", "nullable": true}}}},
            "raw": {"properties": {}, "x-kubernetes-preserve-unknown-fields": true},
        },
        "anyOf": [{"required": ["port"], "properties": {"port": {}}}],
    });
    close(&mut schema);
    assert_eq!(schema["additionalProperties"], false);
    assert!(
        map(&schema, "/properties/metadata")
            .get("additionalProperties")
            .is_none()
    );
    assert_eq!(
        schema["properties"]["port"]["type"],
        json!(["string", "integer"])
    );
    assert_eq!(
        schema["properties"]["list"]["items"]["additionalProperties"],
        false
    );
    assert_eq!(
        schema["properties"]["list"]["items"]["properties"]["a"]["type"],
        json!(["string", "null"])
    );
    assert!(
        map(&schema, "/properties/raw")
            .get("additionalProperties")
            .is_none()
    );
    assert!(schema["anyOf"][0].get("additionalProperties").is_none());
}
