// docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
#pragma once

#include <cstddef>
#include <cstdint>

namespace virga::apigatewayv2 {

inline constexpr uint64_t kMaxPayload = 10 << 20;
inline constexpr size_t kMaxRoutes = 300;
inline constexpr size_t kMaxIntegrations = 300;
inline constexpr size_t kMaxStages = 10;
inline constexpr size_t kListPage = 100;

}  // namespace virga::apigatewayv2
