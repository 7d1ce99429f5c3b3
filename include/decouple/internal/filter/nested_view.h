// An object whose members have dots in their names, seen as one without: {"a.b": 1} as {"a": {"b": 1}}. A dot in a name
// separates the names of a path, as with the service, so every spelling of a path is found by the same keys.
//
// Where an object has one path in several spellings, the objects there are one object: {"a": {"b": 1}, "a.c": 2} has a
// with b and c. Whatever else is there, such as arrays, is as the elements of an array, and those objects together are
// one more element. But what is no object, there or in those arrays, counts for conditions on the path itself only: it
// does not make absent what another spelling has, so {"a": 5, "a.b": 1} has b in a.
//
// Design: nothing is copied. A node stands for the values that are found at one path, and is made when a policy first
// looks there, so there are no more than two for each value, whatever a message is like. Messages without such names,
// which is most, have no view at all.

#ifndef DECOUPLE_INTERNAL_FILTER_NESTED_VIEW_H_
#define DECOUPLE_INTERNAL_FILTER_NESTED_VIEW_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "decouple/internal/filter/field_value.h"

namespace decouple::inline v0_1::internal {

// Used by one thread. Must outlive the values that it gives.
class NestedView {
 public:
  // Requires: `object` is one, and outlives the view.
  explicit NestedView(FieldValue object) {
    Found found;
    found.Add(object);
    root_ = Value(std::move(found));
  }
  NestedView(const NestedView&) = delete;
  NestedView& operator=(const NestedView&) = delete;

  FieldValue root() const { return root_; }

 private:
  // The members of an object whose names begin so, by the rest of their names. A prefix that is not empty ends in a
  // dot.
  struct PartOfObject {
    FieldValue object;
    std::string prefix;
  };

  // What is found at one path.
  struct Found {
    absl::InlinedVector<PartOfObject, 1> objects;
    absl::InlinedVector<FieldValue, 1> others;  // arrays and scalars

    // Requires: what is found is an array.
    bool IsOneArray() const { return objects.empty() && others.size() == 1; }

    void Add(FieldValue value) {
      switch (value.kind()) {
        case FieldKind::kAbsent:
          return;
        case FieldKind::kObject:
          objects.push_back({value, ""});
          return;
        default:
          others.push_back(value);
          return;
      }
    }
  };

  struct Node {
    NestedView& view;
    const Found found;
    // Those that were asked for so far; few, as there is one for each key of the policies.
    std::vector<std::pair<std::string, FieldValue>> members = {};
    std::optional<std::vector<FieldValue>> elements = std::nullopt;
    std::optional<std::vector<FieldValue>> objects = std::nullopt;
  };

  class DECOUPLE_INTERNAL_LAYOUT_TAG NodeType final : public FieldType {
   public:
    static const NodeType& Instance() {
      static const NodeType type;
      return type;
    }
    FieldKind kind(const void* value) const override {
      return In(value).found.others.empty() ? FieldKind::kObject : FieldKind::kArray;
    }
    bool AnyElement(const void* value, absl::FunctionRef<bool(FieldValue)> visit) const override {
      Node& node = In(value);
      if (!node.elements) node.elements = node.view.ElementsOf(node.found);
      for (const FieldValue element : *node.elements) {
        if (visit(element)) return true;
      }
      return false;
    }
    bool AnyElementWithMembers(const void* value, absl::FunctionRef<bool(FieldValue)> visit) const override {
      Node& node = In(value);
      if (node.found.IsOneArray()) return AnyElement(value, visit);
      if (!node.objects) node.objects = node.view.ObjectsOf(node.found);
      for (const FieldValue object : *node.objects) {
        if (visit(object)) return true;
      }
      return false;
    }
    FieldValue member(const void* value, std::string_view name) const override {
      Node& node = In(value);
      for (const auto& [known, member] : node.members) {
        if (known == name) return member;
      }
      const FieldValue member = node.view.MemberOf(node.found, name);
      node.members.emplace_back(name, member);
      return member;
    }

   private:
    // Nodes are made by the view and not const; values point to them as to any value.
    static Node& In(const void* value) { return *static_cast<Node*>(const_cast<void*>(value)); }
  };

  FieldValue Value(Found found) {
    if (found.objects.empty() && found.others.empty()) return {};
    if (found.objects.empty() && found.others.size() == 1 && found.others.front().kind() != FieldKind::kArray) {
      return found.others.front();
    }
    nodes_.push_back(std::unique_ptr<Node>(new Node{*this, std::move(found)}));
    return {&NodeType::Instance(), nodes_.back().get()};
  }

  FieldValue MemberOf(const Found& found, std::string_view name) {
    Found below;
    for (const PartOfObject& part : found.objects) {
      std::string key = part.prefix;
      key.append(name);
      below.Add(part.object.member(key));
      key.push_back('.');
      if (part.object.HasMemberBelow(key)) below.objects.push_back({part.object, std::move(key)});
    }
    return Value(std::move(below));
  }

  std::vector<FieldValue> ElementsOf(const Found& found) {
    std::vector<FieldValue> elements;
    const auto add = [&](FieldValue element) {
      elements.push_back(ValueOf(element));
      return false;
    };
    if (found.IsOneArray()) {
      found.others.front().AnyElement(add);
      return elements;
    }
    for (const FieldValue other : found.others) add(other);
    if (!found.objects.empty()) elements.push_back(Together(found));
    return elements;
  }

  // The objects among what is found, also those in arrays at any depth.
  std::vector<FieldValue> ObjectsOf(const Found& found) {
    std::vector<FieldValue> objects;
    for (const FieldValue other : found.others) AddObjectsIn(other, objects);
    if (!found.objects.empty()) objects.push_back(Together(found));
    return objects;
  }
  void AddObjectsIn(FieldValue value, std::vector<FieldValue>& objects) {
    if (value.kind() == FieldKind::kObject) objects.push_back(ValueOf(value));
    if (value.kind() != FieldKind::kArray) return;
    value.AnyElement([&](FieldValue element) {
      AddObjectsIn(element, objects);
      return false;
    });
  }

  FieldValue ValueOf(FieldValue value) {
    Found one;
    one.Add(value);
    return Value(std::move(one));
  }
  // The objects of a path as one.
  FieldValue Together(const Found& found) {
    Found together;
    together.objects = found.objects;
    return Value(std::move(together));
  }

  std::vector<std::unique_ptr<Node>> nodes_;
  FieldValue root_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_NESTED_VIEW_H_
