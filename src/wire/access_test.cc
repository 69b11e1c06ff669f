#include "wire/access.h"

#include <deque>
#include <vector>

#include <gtest/gtest.h>

namespace virga::wire {
namespace {

enum class Colour { RED, BLUE };

struct Node {
  std::string name;
  std::optional<int32_t> count;
  Box<Node> parent;
  Body body;
};

template <class F>
const Access& access_of(const F&) {
  return kAccess<F>;
}

TEST(Access, RequiredFieldIsAlwaysThereAndStartsAfresh) {
  Node node{.name = "before"};
  const Access& access = access_of(node.name);
  EXPECT_TRUE(access.has(&node.name));
  EXPECT_EQ(access.get(&node.name), &node.name);
  EXPECT_EQ(*static_cast<std::string*>(access.emplace(&node.name)), "");
}

TEST(Access, OptionalEngages) {
  Node node;
  const Access& access = access_of(node.count);
  EXPECT_FALSE(access.has(&node.count));
  *static_cast<int32_t*>(access.emplace(&node.count)) = 7;
  EXPECT_TRUE(access.has(&node.count));
  EXPECT_EQ(*static_cast<const int32_t*>(access.get(&node.count)), 7);
  EXPECT_EQ(node.count, 7);
}

TEST(Access, BoxEngages) {
  Node node;
  const Access& access = access_of(node.parent);
  EXPECT_FALSE(access.has(&node.parent));
  static_cast<Node*>(access.emplace(&node.parent))->name = "parent";
  EXPECT_TRUE(access.has(&node.parent));
  EXPECT_EQ(static_cast<const Node*>(access.get(&node.parent))->name, "parent");
}

TEST(Access, BodyIsThePointerItself) {
  Node node;
  const Access& access = access_of(node.body);
  EXPECT_FALSE(access.has(&node.body));
  *static_cast<Body*>(access.emplace(&node.body)) = body_of("text");
  EXPECT_TRUE(access.has(&node.body));
  EXPECT_EQ(access.get(&node.body), &node.body);
}

TEST(Access, ListsAppendAndIndex) {
  std::vector<std::string> texts;
  *static_cast<std::string*>(ListOps<std::vector<std::string>>::append(&texts)) = "one";
  EXPECT_EQ(ListOps<std::vector<std::string>>::size(&texts), 1u);
  EXPECT_EQ(ListOps<std::vector<std::string>>::at(&texts, 0), &texts[0]);
  std::deque<bool> flags;
  *static_cast<bool*>(ListOps<std::deque<bool>>::append(&flags)) = true;
  EXPECT_TRUE(flags[0]);
}

TEST(Access, MapsEmplaceOnceAndVisitInKeyOrder) {
  using Map = std::map<std::string, int32_t>;
  Map map;
  *static_cast<int32_t*>(MapOps<Map>::emplace(&map, "b")) = 2;
  *static_cast<int32_t*>(MapOps<Map>::emplace(&map, "a")) = 1;
  EXPECT_EQ(*static_cast<int32_t*>(MapOps<Map>::emplace(&map, "b")), 2);
  std::string seen;
  MapOps<Map>::each(&map, &seen, [](void* context, const std::string& key, const void* value) {
    *static_cast<std::string*>(context) += key + std::to_string(*static_cast<const int32_t*>(value));
  });
  EXPECT_EQ(seen, "a1b2");
}

TEST(Access, EnumsByName) {
  static constexpr std::string_view kValues[] = {"RED", "BLUE"};
  static constexpr EnumInfo kInfo = {.values = kValues, .get = &EnumOps<Colour>::get, .set = &EnumOps<Colour>::set};
  static constexpr Shape kColour = {.kind = Kind::kEnum, .name = "Colour", .enumeration = &kInfo};
  Colour colour = Colour::RED;
  EXPECT_TRUE(enum_value(kColour, "BLUE", &colour));
  EXPECT_EQ(colour, Colour::BLUE);
  EXPECT_FALSE(enum_value(kColour, "GREEN", &colour));
  EXPECT_EQ(enum_name(kColour, EnumOps<Colour>::get(&colour)), "BLUE");
}

}  // namespace
}  // namespace virga::wire
