#include "services/sns/envelope.h"

#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"

namespace virga::sns {
namespace {

bool is_confirmation(const Message& message) { return message.type != "Notification"; }

// Base64 for binary attributes, as JSON can't hold bytes.
std::string shown(const MessageAttribute& attribute) {
  return attribute.type.starts_with("Binary") ? base64_encode(attribute.value) : attribute.value;
}

// One member of the envelope a line, as AWS lays it out.
class Lines {
 public:
  void text(std::string_view name, std::string_view value) {
    begin(name);
    append_json_string(out_, value);
  }
  void begin(std::string_view name) { append(out_, out_.empty() ? "{\n  \"" : ",\n  \"", name, "\" : "); }
  std::string& out() { return out_; }

 private:
  std::string out_;
};

}  // namespace

std::string string_to_sign(const Message& message, std::string_view body) {
  std::string out;
  const auto line = [&](std::string_view name, std::string_view value) { append(out, name, "\n", value, "\n"); };
  line("Message", body);
  line("MessageId", message.id);
  if (is_confirmation(message)) {
    line("SubscribeURL", message.subscribe_url);
  } else if (message.subject) {
    line("Subject", *message.subject);
  }
  line("Timestamp", iso8601_millis(message.time));
  if (is_confirmation(message)) line("Token", message.token);
  line("TopicArn", message.topic_arn);
  line("Type", message.type);
  return out;
}

std::string envelope(const Message& message, std::string_view body, const Signed& signed_by,
                     std::string_view unsubscribe_url) {
  return Envelope(message, body, signed_by).with(unsubscribe_url);
}

std::string Envelope::rest(std::string_view unsubscribe_url) const {
  std::string out;
  if (!confirms_) append_json_string(out, unsubscribe_url);
  out += after_;
  return out;
}

Envelope::Envelope(const Message& message, std::string_view body, const Signed& signed_by)
    : confirms_(is_confirmation(message)) {
  Lines lines;
  lines.text("Type", message.type);
  lines.text("MessageId", message.id);
  if (!message.sequence.empty()) lines.text("SequenceNumber", message.sequence);
  if (is_confirmation(message)) lines.text("Token", message.token);
  lines.text("TopicArn", message.topic_arn);
  if (message.subject) lines.text("Subject", *message.subject);
  lines.text("Message", body);
  if (is_confirmation(message)) lines.text("SubscribeURL", message.subscribe_url);
  lines.text("Timestamp", iso8601_millis(message.time));
  if (!signed_by.signature.empty()) {
    lines.text("SignatureVersion", message.signature_version);
    lines.text("Signature", signed_by.signature);
    lines.text("SigningCertURL", signed_by.certificate);
  }
  if (!confirms_) lines.begin("UnsubscribeURL");
  opening_ = std::exchange(lines.out(), {});
  std::string& out = after_;
  if (!message.attributes.empty()) {
    out += ",\n  \"MessageAttributes\" : ";
    bool first = true;
    for (const auto& [name, attribute] : message.attributes) {
      out += first ? "{\n    " : ",\n    ";
      first = false;
      append_json_string(out, name);
      out += " : {\"Type\":";
      append_json_string(out, attribute.type);
      out += ",\"Value\":";
      append_json_string(out, shown(attribute));
      out += '}';
    }
    out += "\n  }";
  }
  if (message.replayed) out += ",\n  \"Replayed\" : \"true\"";
  out += "\n}";
}

std::string lambda_event(const Message& message, std::string_view body, const Signed& signed_by,
                         std::string_view unsubscribe_url, std::string_view subscription_arn) {
  std::string out;
  JsonWriter json(out);
  const auto text = [&](std::string_view name, std::string_view value) {
    json.key(name);
    json.string(value);
  };
  json.begin_object();
  json.key("Records");
  json.begin_array();
  json.begin_object();
  text("EventSource", "aws:sns");
  text("EventVersion", "1.0");
  text("EventSubscriptionArn", subscription_arn);
  json.key("Sns");
  json.begin_object();
  text("Type", message.type);
  text("MessageId", message.id);
  text("TopicArn", message.topic_arn);
  json.key("Subject");
  message.subject ? json.string(*message.subject) : json.null();
  text("Message", body);
  text("Timestamp", iso8601_millis(message.time));
  text("SignatureVersion", "1");  // whatever the topic's is, by which the signature was made
  text("Signature", signed_by.signature);
  text("SigningCertUrl", signed_by.certificate);
  text("UnsubscribeUrl", unsubscribe_url);
  json.key("MessageAttributes");
  json.begin_object();
  for (const auto& [name, attribute] : message.attributes) {
    json.key(name);
    json.begin_object();
    text("Type", attribute.type);
    text("Value", shown(attribute));
    json.end_object();
  }
  json.end_object();
  json.end_object();
  json.end_object();
  json.end_array();
  json.end_object();
  return out;
}

std::string email_text(const Message& message, std::string_view body, std::string_view endpoint,
                       std::string_view unsubscribe_url) {
  if (is_confirmation(message)) return cat(body, "\n\n", message.subscribe_url, "\n");
  return cat(body, "\n\n--\nIf you wish to stop receiving notifications from this topic, please visit:\n",
             unsubscribe_url, "&Endpoint=", percent_encode(endpoint), "\n");
}

size_t size_of(const Message& message) {
  size_t size = message.body.size();
  for (const auto& [name, attribute] : message.attributes)
    size += name.size() + attribute.type.size() + attribute.value.size();
  return size;
}

}  // namespace virga::sns
