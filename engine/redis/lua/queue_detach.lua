-- Stops consuming: what is still held returns to the front. It may attach again later.

if refused() then return 0 end
give_back(me)
return 1
